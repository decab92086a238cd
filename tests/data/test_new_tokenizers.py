import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import new_tokenizers, prompts, tokenizer


def test_numbers_are_single_tokens_with_and_without_their_space(own):
  for number in range(1, 10):
    (alone,) = own.encode(str(number))
    (spaced,) = own.encode(f" {number}")
    assert alone != spaced
    assert own.encode(f"7+5={number}\n").count(alone) >= 1


def test_vocab_size_bounds_every_id(own, corpus):
  assert 258 <= own.vocab_size <= 448
  assert max(max(own.encode(text)) for text in corpus[:100]) < own.vocab_size


def test_training_is_deterministic(own, corpus, tmp_path):
  again = new_tokenizers.train_byte_level_bpe(
    corpus, vocab_size=448, directory=tmp_path
  )
  assert again.fingerprint() == own.fingerprint()


def test_too_small_a_vocabulary(tmp_path):
  with pytest.raises(InputError, match="258"):
    new_tokenizers.train_byte_level_bpe(
      ["a"], vocab_size=100, directory=tmp_path
    )


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
  folder = tmp_path_factory.mktemp("nodes")
  words = ["|", "/", "=", *map(str, range(20))]
  new_tokenizers.word_level(words, directory=folder)
  return tokenizer.load(folder)


def test_a_graph_is_a_token_a_node(nodes):
  graph, path = "4,17|5,4|5,19/5,17=", "5,4,17"
  prompt = prompts.render(graph, nodes, prompts.Form("raw"))
  answer = prompts.completion(path, nodes)
  node = lambda number: 6 + number
  equals = 5
  # Commas, bars and slashes vanish: edges have two tokens each.
  assert prompt == [
    *(node(4), node(17), node(5), node(4), node(5), node(19)),
    *(node(5), node(17), equals),
  ]
  assert answer == [node(5), node(4), node(17), 1]
  assert prompt + answer[:-1] == nodes.encode(graph + path)
  assert nodes.decode(answer) == "5 4 17"
  assert nodes.decode(np.array([equals, node(3)])) == "= 3"


def test_words_out_of_the_vocabulary_are_one_unknown_token(nodes):
  assert nodes.encode("5,20") == [11, 2]
  assert (nodes.pad_id, nodes.eos_ids, nodes.bos_ids) == (0, (1,), ())
  assert nodes.vocab_size == 26
