"""The text of an answer while its tokens come, and the strings that end it."""

import copy
from collections.abc import Callable, Sequence

_INCOMPLETE = "\ufffd"  # what is shown of bytes that are no character yet
# Tokens that wait for the rest of a character: three of its bytes, and specials
# without text among them. More are bytes that will never be one.
_LONGEST = 16


class Text:
  """Turns tokens into text that will not be taken back.

  What could still become a stop string, or part of a character, is held back
  until it is known. Of several stop strings the one that is complete first ends
  the text, of those complete at once the longest.

  Attributes:
    text: all that was given out.
    is_stopped: whether a stop string has come.
    num_tokens: how many tokens the text took, the one that completes the stop
      string included.
  """

  def __init__(
    self, decode: Callable[[Sequence[int]], str], stops: Sequence[str] = ()
  ):
    """Begins with an empty text.

    Args:
      decode: the text of some tokens.
      stops: strings that end the text, which stops before them.
    """
    self.text, self.is_stopped, self.num_tokens = "", False, 0
    self._decode, self._stops = decode, tuple(stops)
    self._tokens: list[int] = []  # the last few, enough to decode what follows
    self._num_read = 0  # of these, whose text is known
    self._num_whole = 0  # of these, which end with a whole character
    self._held = ""

  def add(self, tokens: Sequence[int]) -> str:
    """Text that is certain now, after more tokens.

    It is the same text, and the same token at which it stops, however the
    tokens come.
    """
    if not self._stops or len(tokens) == 1:
      return self._add(tokens)
    before = copy.copy(self)
    before._tokens = list(self._tokens)
    found = self._add(tokens)
    if not self.is_stopped:
      return found
    # Which of the tokens was it?
    self.__dict__.update(before.__dict__)
    return "".join(self._add([token]) for token in tokens)

  def finish(self) -> str:
    """The rest, once no more tokens come."""
    if self.is_stopped:
      return ""
    found = self._search(self._held + self._rest())
    if not self.is_stopped:
      found, self._held = found + self._held, ""
    return self._give(found)

  def _add(self, tokens: Sequence[int]) -> str:
    if self.is_stopped:
      return ""
    self.num_tokens += len(tokens)
    self._tokens.extend(map(int, tokens))
    last = len(self._tokens)
    for end in range(last, max(self._num_read, last - _LONGEST) - 1, -1):
      whole = self._decode(self._tokens[:end])
      if not whole.endswith(_INCOMPLETE):
        break
    new = whole[len(self._decode(self._tokens[: self._num_read])) :]
    self._num_read = max(self._num_read, end)
    if not whole.endswith(_INCOMPLETE):
      self._forget(end)
    return self._give(self._search(self._held + new))

  def _forget(self, num_whole: int) -> None:
    """Drops tokens that the text of later ones does not depend on."""
    # A token alone may lose the space before it, so some before it are kept.
    kept = self._tokens[self._num_whole : num_whole]
    if self._decode(kept):
      self._tokens = self._tokens[self._num_whole :]
      self._num_read -= self._num_whole
      self._num_whole = len(kept)

  def _rest(self) -> str:
    before = self._decode(self._tokens[: self._num_read])
    return self._decode(self._tokens)[len(before) :]

  def _search(self, text: str) -> str:
    """What may be given out of a text; the rest is held."""
    ends = [
      (text.index(stop) + len(stop), -len(stop))
      for stop in self._stops
      if stop in text
    ]
    if ends:
      self.is_stopped, self._held = True, ""
      end, minus_length = min(ends)
      return text[: end + minus_length]
    num_held = max((_overlap(text, stop) for stop in self._stops), default=0)
    self._held = text[len(text) - num_held :]
    return text[: len(text) - num_held]

  def _give(self, text: str) -> str:
    self.text += text
    return text


def _overlap(text: str, stop: str) -> int:
  """Length of the longest end of the text with which the stop string begins."""
  most = min(len(text), len(stop) - 1)
  lengths = range(most, 0, -1)
  return next((n for n in lengths if text.endswith(stop[:n])), 0)
