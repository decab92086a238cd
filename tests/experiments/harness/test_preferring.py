"""Preferences of a config, as its prompts are made."""

import json

import pytest
from oracles import model_directories

from experiments.configs import gsm8k
from experiments.harness import preferring
from qsharp_jax import data
from qsharp_jax.core.errors import InputError

ROWS = [
  {"prompt": "12 + 3?", "chosen": "15", "rejected": "16"},
  {"prompt": [{"role": "user", "content": "40 - 7?"}],
   "chosen": [{"role": "assistant", "content": "33"}],
   "rejected": [{"role": "assistant", "content": "12"}]},
]  # fmt: skip


@pytest.fixture
def config(tmp_path):
  config = gsm8k.get_config("local")
  config.preferences.source = f"jsonl:{tmp_path}/pairs.jsonl"
  lines = "".join(json.dumps(row) + "\n" for row in ROWS)
  (tmp_path / "pairs.jsonl").write_text(lines)
  return config


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  directory = model_directories.qwen2(tmp_path_factory.mktemp("model"))
  return data.tokenizer.load(directory)


def test_pairs_are_prompts_and_whole_answers(config, tokenizer):
  found = preferring.tokenised(config, tokenizer)
  text = lambda ids: tokenizer.hf.decode(ids, skip_special_tokens=False)
  assert [text(pair.prompt) for pair in found] == [
    "Question: 12 + 3?\nAnswer:\n", "Question: 40 - 7?\nAnswer:\n",
  ]  # fmt: skip
  answers = [(text(pair.chosen), text(pair.rejected)) for pair in found]
  assert answers == [("15<|end|>", "16<|end|>"), ("33<|end|>", "12<|end|>")]


def test_without_a_source_there_are_none(config, tokenizer):
  config.preferences.source = ""
  assert preferring.tokenised(config, tokenizer) == []


def test_a_prompt_that_cannot_be_made_is_named(config, tokenizer):
  config.data.prompt = "chat"
  with pytest.raises(InputError, match="preference pairs-1: the tokenizer has"):
    preferring.tokenised(config, tokenizer)
