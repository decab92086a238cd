"""Stop strings: found wherever tokens are cut, as a search of the text does."""

import itertools

import numpy as np
import pytest
import tokenizers
import transformers
from oracles import pieces

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import new_tokenizers, stops, tokenizer

LETTERS = "ab"
WORDS = [
  "".join(letters)
  for n in (1, 2, 3)
  for letters in itertools.product(LETTERS, repeat=n)
]


@pytest.mark.parametrize(
  ("text", "strings", "left"),
  [
    ("abc", [], "abc"),
    ("abc", ["x"], "abc"),
    ("hello\n\nHuman: hi", ["\n\nHuman:"], "hello"),
    ("xaby", ["b", "ab"], "x"),  # complete at once: the longest
    ("xabc", ["abc", "b"], "xa"),  # b is complete first
    ("stop", ["stop"], ""),
    ("aXbX", ["X"], "a"),
  ],
)
def test_the_string_that_is_complete_first_cuts(text, strings, left):
  assert stops.cut(text, strings) == left
  assert pieces.first_end(text, strings) == left


def test_cuts_as_a_search_letter_by_letter():
  for letters in itertools.product("abc", repeat=5):
    text = "".join(letters)
    for strings in (["ab", "b"], ["abc", "b"], ["aa", "ca", "c"]):
      assert stops.cut(text, strings) == pieces.first_end(text, strings)


@pytest.mark.parametrize(
  "strings", [["aba"], ["aab", "bb"], ["b"], ["abab", "ba", "aaaa"]]
)
def test_every_split_of_every_text_into_pieces(strings):
  own = pieces.tokenizer([*WORDS, ""])
  found = stops.automaton(own, strings)
  states = {(): 0}
  for length in (1, 2, 3):
    for ids in itertools.product(range(own.vocab_size), repeat=length):
      states[ids] = found.after(ids[-1:], states[ids[:-1]])
      is_there = any(string in own.decode(ids) for string in strings)
      assert (states[ids] == found.found) == is_there, own.decode(ids)


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory):
  texts = [
    "\n\nHuman: hi\n\nAssistant: ho 人类 é",
    "Human: a. Humane ants:",
  ] * 3
  return new_tokenizers.train_byte_level_bpe(
    texts, vocab_size=320, directory=tmp_path_factory.mktemp("bytes")
  )


def sentence_pieces():
  """As of Llama 2: spaces as ▁, bytes where there is no other token."""
  words = ["▁a", "▁", "▁Hu", "man", ":", "人", "\n\n", "H", "u", "b", "▁b", "a"]
  vocabulary = {"<unk>": 0, "</s>": 1}
  for word in [*words, *(f"<0x{i:02X}>" for i in range(256))]:
    vocabulary.setdefault(word, len(vocabulary))
  model = tokenizers.Tokenizer(
    tokenizers.models.BPE(
      vocabulary, [], unk_token="<unk>", byte_fallback=True, fuse_unk=True
    )
  )
  model.normalizer = tokenizers.normalizers.Sequence(
    [
      tokenizers.normalizers.Prepend("▁"),
      tokenizers.normalizers.Replace(" ", "▁"),
    ]
  )
  decoders = tokenizers.decoders
  model.decoder = decoders.Sequence(
    [
      decoders.Replace("▁", " "),
      decoders.ByteFallback(),
      decoders.Fuse(),
      decoders.Strip(" ", 1, 0),
    ]
  )
  return tokenizer.Tokenizer(
    transformers.PreTrainedTokenizerFast(
      tokenizer_object=model, eos_token="</s>", unk_token="<unk>"
    )
  )


def whole_words(tmp_path):
  return new_tokenizers.word_level(
    ["Human", ":", "a", "b", "Humane"], directory=tmp_path
  )


STRINGS = ("\n\nHuman:", " Human", "人类", "é", "Human : a")


def check_random_texts(own, strings, rounds, chunks):
  """Random rows of pieces of token ids."""
  found = stops.automaton(own, strings)
  rng = np.random.default_rng(0)
  hits = 0
  for _ in range(rounds):
    chosen = [chunks[i] for i in rng.integers(0, len(chunks), 12)]
    ids = list(itertools.chain.from_iterable(chosen))[:16]
    length = pieces.shortest(own.decode, ids, strings)
    is_there = any(s in own.decode(ids[:length]) for s in strings)
    hits += is_there
    for n in range(len(ids) + 1):
      is_over = is_there and n >= length
      assert (found.after(ids[:n]) == found.found) == is_over, ids[:n]
  assert 0 < hits < rounds


def parts_of(own, strings):
  """Halves of the strings, cut anywhere, often; and any single token."""
  whole = [own.encode(text) for s in strings for text in (s, f"a{s}")]
  # Letter by letter, too: no merge need be what a model writes.
  whole += [[i for c in s for i in own.encode(c)] for s in strings]
  halves = [
    x for ids in whole for k in range(1, len(ids)) for x in (ids[:k], ids[k:])
  ]
  return halves * 8 + [[i] for i in range(own.vocab_size)]


@pytest.mark.parametrize("strings", [STRINGS, ("\n\nHuman:",), ("人类",)])
def test_bytes(byte_level, strings):
  check_random_texts(byte_level, strings, 200, parts_of(byte_level, strings))


@pytest.mark.parametrize("strings", [("\n\nHu", "人b"), (" a", "é")])
def test_sentence_pieces(strings):
  """Whole characters: of bytes that make none, all beside them are hidden."""
  own = sentence_pieces()
  texts = [*"ab:Hu\n人é ", *strings]
  words = ["▁a", "▁", "▁Hu", "man", "\n\n", "H", "u", "▁b", "</s>"]
  chunks = [own.encode(text)[1:] for text in texts]
  chunks += [[own.hf.convert_tokens_to_ids(word)] for word in words]
  check_random_texts(own, strings, 200, [c for c in chunks if c])


def test_a_space_that_the_first_piece_loses_is_none():
  own = sentence_pieces()
  found = stops.automaton(own, (" a",))
  first, other = own.hf.convert_tokens_to_ids(["▁a", "b"])
  assert own.decode([first]) == "a" and own.decode([other, first]) == "b a"
  assert found.after([first]) != found.found
  assert found.after([other, first]) == found.found


def test_whole_words(tmp_path):
  own = whole_words(tmp_path)
  strings = ("Human : a", "b b")
  check_random_texts(own, strings, 100, parts_of(own, strings))


def test_a_special_token_ends_an_answer_though_no_text_shows_it():
  own = pieces.tokenizer(["a", "b", "<end>", "<pad>"], ("<end>", "<pad>"))
  found = stops.automaton(own, ["<end>", "ab"])
  assert found.after([0, 2]) == found.found
  assert found.after([0, 3, 1]) == found.found  # a pad is no text
  assert found.after([1, 3, 0]) != found.found
  assert found.after([0, 99, 1]) == found.found  # nor is a row without a token


def test_equal_strings_of_one_tokenizer_are_one_program():
  one, same, other = (
    pieces.automaton(WORDS, strings) for strings in (["ab"], ["ab"], ["ba"])
  )
  assert one == same and hash(one) == hash(same) and one != other
  assert pieces.automaton(WORDS, []) is None


@pytest.mark.parametrize("strings", [[""], [3], ["a", "\ufffd"], ["\ud800"]])
def test_refuses_what_is_no_string(strings):
  with pytest.raises(InputError, match="a stop string is"):
    pieces.automaton(WORDS, strings)


def test_refuses_a_tokenizer_whose_tokens_are_not_joined():
  own = pieces.tokenizer(LETTERS)
  decode = own.decode
  own.decode = lambda ids: decode(ids)[::-1]
  with pytest.raises(InputError, match="cannot be followed"):
    stops.automaton(own, ["ab"])
