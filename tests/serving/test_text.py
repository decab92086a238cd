"""Text that streams is the text of the whole, cut at stop strings."""

import random

import pytest

from qsharp_jax import data
from qsharp_jax.serving import text as text_lib

WORDS = ["one two three", "naïve 数学 🙂🙂", "a\n\nb\n#### 12", "ababab"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
  return data.new_tokenizers.train_byte_level_bpe(
    WORDS * 3, vocab_size=280, directory=tmp_path_factory.mktemp("tokenizer")
  )


def cut(text, stops):
  """The first place where a string is complete, looked for letter by letter."""
  for end in range(len(text) + 1):
    found = [stop for stop in stops if text[:end].endswith(stop)]
    if found:
      return text[: end - max(map(len, found))], True
  return text, False


def parts(tokens, rng):
  while tokens:
    size = rng.choice([1, 1, 2, 3, 5, 8, 20])
    yield tokens[:size]
    tokens = tokens[size:]


def streamed(tokenizer, pieces, stops):
  text, given = text_lib.Text(tokenizer.decode, stops), []
  for piece in pieces:
    given.append(text.add(piece))
  given.append(text.finish())
  assert text.text == "".join(given)
  return text


@pytest.mark.parametrize(
  "stops",
  [(), ("aba",), ("\n\n", "\n#"), ("数学", "学"), ("wo th", "w", "two")],
)
def test_text_does_not_depend_on_how_tokens_come(tokenizer, stops):
  rng = random.Random(0)
  for _ in range(60):
    tokens = tokenizer.encode(" ".join(rng.choices(WORDS, k=3)))
    # Bytes out of order, and specials, which have no text.
    for _ in range(rng.choice([0, 0, 4])):
      tokens.insert(rng.randrange(len(tokens)), rng.randrange(280))
    wanted, is_cut = cut(tokenizer.decode(tokens), stops)
    whole = streamed(tokenizer, parts(tokens, rng), stops)
    assert (whole.text, whole.is_stopped) == (wanted, is_cut)
    one_by_one = streamed(tokenizer, [[token] for token in tokens], stops)
    assert one_by_one.num_tokens == whole.num_tokens
    if is_cut:  # and that token is the one which completes the string
      before = tokenizer.decode(tokens[: whole.num_tokens - 1])
      assert not cut(before, stops)[1]


def test_what_may_become_a_stop_string_is_held_back(tokenizer):
  text = text_lib.Text(tokenizer.decode, ["\n\nb"])
  a, newline, b = (tokenizer.encode(x)[0] for x in ("a", "\n", "b"))
  assert text.add([a]) == "a"
  assert text.add([newline]) == "" and text.add([newline]) == ""
  assert text.add([a]) == "\n\na"
  assert [text.add([t]) for t in (newline, newline, b, a)] == [""] * 4
  assert text.is_stopped and text.text == "a\n\na" and text.num_tokens == 7


def test_part_of_a_character_waits_for_the_rest(tokenizer):
  text = text_lib.Text(tokenizer.decode)
  first, *rest = [
    tokenizer.hf.convert_tokens_to_ids(c) for c in ("ð", "Ł", "ĺ", "Ĥ")
  ]
  assert text.add([first]) == ""
  assert text.add(rest[:2]) == ""
  assert text.add(rest[2:]) == "😂"
  assert text.add([first]) == "" and text.finish() == "\ufffd"
