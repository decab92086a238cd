"""Strings that end an answer, found in its text wherever tokens are cut.

Of several strings the one that is complete first ends the answer, of those
complete at once the longest: so the place does not depend on how the text is
cut into tokens. What is read of an answer stops before the string; its tokens
stop with the one that completes it, as they stop with an end token.

An automaton (Aho and Corasick, 1975) follows the text token by token, so that a
decode loop knows at once when an answer has ended.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.data.tokenizer import Tokenizer

_INCOMPLETE = "\ufffd"  # what is shown of bytes that are no character yet


@dataclasses.dataclass(frozen=True)
class Automaton:
  """How far the strings have come, token by token.

  State 0 is that before any text, the last one that of a complete string.

  Attributes:
    strings: that end an answer.
    key: digest of the tables, by which automata are compared.
    classes: which column of the moves is a token's; the last entry is that of
      all larger ids. Shape [V + 1], int32.
    moves: the next state. Shape [S, C], int32.
  """

  strings: tuple[str, ...]
  key: str
  classes: np.ndarray = dataclasses.field(compare=False, repr=False)
  moves: np.ndarray = dataclasses.field(compare=False, repr=False)

  @property
  def found(self) -> int:
    """The state in which a string is complete."""
    return len(self.moves) - 1

  def after(self, tokens: Iterable[int], state: int = 0) -> int:
    """The state after more tokens."""
    for token in tokens:
      column = self.classes[min(token, len(self.classes) - 1)]
      state = int(self.moves[state, column])
    return state


def cut(text: str, strings: Sequence[str]) -> str:
  """The text up to the string that is complete first, if there is any."""
  ends = [
    (text.index(string) + len(string), -len(string))
    for string in strings
    if string in text
  ]
  if not ends:
    return text
  end, minus_length = min(ends)
  return text[: end + minus_length]


def check(strings: Sequence[str]) -> None:
  """Raises an InputError for strings that could not end an answer."""
  for string in strings:
    if not isinstance(string, str) or not _is_text(string):
      raise InputError(
        f"a stop string is {errors.short(string, 80)}; expected a text of at "
        "least one character, all of them valid"
      )


def _is_text(string: str) -> bool:
  """Whether a tokenizer could say it: no half of a character is in it."""
  try:
    return bool(string.encode()) and _INCOMPLETE not in string
  except UnicodeEncodeError:  # half of a surrogate pair
    return False


def automaton(tokenizer: Tokenizer, strings: Sequence[str]) -> Automaton | None:
  """Follows the strings through the tokenizer's tokens; None without strings.

  Args:
    tokenizer: whose decoded tokens make the text.
    strings: that end an answer. One that is a special token, which no text
      shows, ends it, too.

  Raises:
    InputError: an empty string, or a tokenizer whose text is not made by
      joining what its tokens say.
  """
  check(strings)
  if not strings:
    return None
  step, num_states = _steps([string.encode() for string in strings])
  pieces = _pieces(tokenizer, strings)
  # A token matters that ends in a string's part, or completes one.
  last = {string.encode()[-1] for string in strings}
  parts = set(b"".join(string.encode() for string in strings))
  moving = [
    token
    for token, piece in enumerate(pieces)
    if piece and (piece[-1] in parts or not last.isdisjoint(piece))
  ]
  columns = np.full((len(pieces) + 1, num_states), 1, np.int32)
  columns[:, -1] = num_states - 1
  silent = [token for token, piece in enumerate(pieces) if not piece]
  columns[[*silent, -1]] = np.arange(num_states)
  first = _first_pieces(tokenizer, strings, moving)
  for token, piece in zip(moving, first, strict=True):
    columns[token, 0] = _run(step, 1, piece)
    for state in range(1, num_states - 1):
      columns[token, state] = _run(step, state, pieces[token])
  moves, classes = np.unique(columns, axis=0, return_inverse=True)
  tables = classes.reshape(-1).astype(np.int32), moves.T.astype(np.int32)
  digest = hashlib.blake2b(digest_size=16)
  for table in tables:
    digest.update(np.ascontiguousarray(table).tobytes())
  found = Automaton(tuple(strings), digest.hexdigest(), *tables)
  _check_followed(found, tokenizer)
  return found


def _steps(
  strings: Sequence[bytes],
) -> tuple[Callable[[int, int], int], int]:
  """The next state by a state and a byte, and how many states there are.

  State 0 is left to the start; 1 has seen nothing of any string.
  """
  prefixes = {b"": 1}
  for string in strings:
    for length in range(1, len(string)):
      prefixes.setdefault(string[:length], len(prefixes) + 1)
  found = len(prefixes) + 1
  seen = {state: prefix for prefix, state in prefixes.items()}
  known: dict[tuple[int, int], int] = {}

  def step(state: int, byte: int) -> int:
    if state == found:
      return found
    if (state, byte) not in known:
      text = seen[state] + bytes([byte])
      is_whole = any(text.endswith(string) for string in strings)
      ends = (text[i:] for i in range(len(text) + 1))
      longest = next(prefixes[end] for end in ends if end in prefixes)
      known[state, byte] = found if is_whole else longest
    return known[state, byte]

  return step, found + 1


def _run(step: Callable[[int, int], int], state: int, piece: bytes) -> int:
  for byte in piece:
    state = step(state, byte)
  return state


def _pieces(tokenizer: Tokenizer, strings: Sequence[str]) -> list[bytes]:
  """What each token adds to a text that has begun."""
  ids = range(tokenizer.vocab_size)
  alone = _decode(tokenizer, [[i] for i in ids])
  anchor = next(
    i for i in ids if alone[i].strip() and _INCOMPLETE not in alone[i]
  )
  before = alone[anchor]
  both = _decode(tokenizer, [[anchor, i] for i in ids])
  texts = [
    text.removeprefix(before) if text.startswith(before) else own
    for text, own in zip(both, alone, strict=True)
  ]
  return _bytes(tokenizer, strings, list(ids), texts)


def _first_pieces(
  tokenizer: Tokenizer, strings: Sequence[str], ids: Sequence[int]
) -> list[bytes]:
  """What some tokens are at the start of a text: a space may be missing."""
  texts = _decode(tokenizer, [[i] for i in ids])
  return _bytes(tokenizer, strings, ids, texts)


def _decode(tokenizer: Tokenizer, ids: list[list[int]]) -> list[str]:
  if not ids:
    return []
  return tokenizer.hf.batch_decode(
    ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
  )


def _bytes(
  tokenizer: Tokenizer,
  strings: Sequence[str],
  ids: Sequence[int],
  texts: Sequence[str],
) -> list[bytes]:
  """Texts as bytes, parts of characters and named specials included."""
  names = tokenizer.hf.convert_ids_to_tokens(list(ids))
  return [
    (name if not text and name in strings else text).encode()
    if _INCOMPLETE not in text
    else _raw(name, text)
    for name, text in zip(names, texts, strict=True)
  ]


def _raw(name: str, text: str) -> bytes:
  """The bytes of a token that is no whole number of characters."""
  if name.startswith("<0x") and name.endswith(">"):  # one byte, by its number
    return bytes([int(name[3:-1], 16)])
  if all(character in _BYTES for character in name):
    return bytes(_BYTES[character] for character in name)
  return text.encode()


def _byte_characters() -> dict[str, int]:
  """The characters by which byte-level tokenizers write bytes, as in GPT-2."""
  shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
  hidden = [byte for byte in range(256) if byte not in shown]
  found = {chr(byte): byte for byte in shown}
  return found | {chr(256 + i): byte for i, byte in enumerate(hidden)}


_BYTES = _byte_characters()


def _check_followed(found: Automaton, tokenizer: Tokenizer) -> None:
  """Compares with a search in texts that have each of the strings."""
  for string in found.strings:
    if not tokenizer.decode(tokenizer.encode(string)):
      continue  # a special token, of which no text says anything
    for text in (string, f"a {string} b", f"a{string}b"):
      ids = tokenizer.encode(text)
      for length in range(len(ids) + 1):
        told = tokenizer.decode(ids[:length])
        is_there = any(string in told for string in found.strings)
        if is_there != (found.after(ids[:length]) == found.found):
          raise InputError(
            f"the stop string {errors.short(string, 80)} cannot be followed "
            "through the tokens of this tokenizer, whose text is not made by "
            "joining them; take another string, or a byte-level tokenizer"
          )
