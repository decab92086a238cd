"""A tokenizer of word problems, unless a module has its own."""

import pytest

from qsharp_jax.data import new_tokenizers, tokenizer
from qsharp_jax.tasks.word_problems import WordProblems


@pytest.fixture(scope="module")
def corpus():
  questions = WordProblems().generate(1500, seed=0)
  return [f"Question: {q.question}\nAnswer:\n{q.answer}" for q in questions]


@pytest.fixture(scope="module")
def folder(corpus, tmp_path_factory):
  folder = tmp_path_factory.mktemp("tokenizer")
  new_tokenizers.train_byte_level_bpe(corpus, vocab_size=448, directory=folder)
  return folder


@pytest.fixture
def own(folder):
  return tokenizer.load(folder)
