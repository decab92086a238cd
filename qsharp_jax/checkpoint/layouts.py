"""How a parameter of ours lies in a tensor of a file.

A layout reads "stored -> ours": each word left of the arrow is one dimension of
the file's tensor, a bracket several of ours side by side in it. Letters: d
width, n heads, g key-value heads, h head width, m MLP width, v vocabulary, p
positions, k atoms, r rows of the value head (1, or v for a Q-type head), e what
a V-type head reads (d, and a log-probability where it reads one).

Where a file keeps several parameters in one tensor, a stored word names the
letters that lie one after the other, and which of them is meant: "(n+g+g@1 h)"
are the heads of queries, keys and values, of which this is number 1, the keys;
"(n h+h+h@1)" has the three side by side within every head.
"""

import dataclasses
import math
import re
from collections.abc import Callable

import numpy as np

from qsharp_jax.models import DecoderConfig, HeadConfig

Sizes = dict[str, int]
Index = tuple[slice, ...]


@dataclasses.dataclass(frozen=True)
class Word:
  """A letter of a stored dimension, alone or as one part of several.

  Attributes:
    parts: letters one after the other, mostly one.
    number: of the part that is meant.
  """

  parts: tuple[str, ...]
  number: int

  @property
  def letter(self) -> str:
    """The letter that is meant."""
    return self.parts[self.number]

  def total(self, sizes: Sizes) -> int:
    """Size of all parts together."""
    return sum(sizes[x] for x in self.parts)

  def within(self, part: slice, sizes: Sizes) -> slice:
    """A range of the letter, counted from the first part's start."""
    start = sum(sizes[x] for x in self.parts[: self.number])
    return slice(start + part.start, start + part.stop)


def _word(text: str) -> Word:
  letters, _, number = text.partition("@")
  return Word(tuple(letters.split("+")), int(number or 0))


@dataclasses.dataclass(frozen=True)
class Entry:
  """One parameter and its place in a file.

  Attributes:
    path: ours, below "params"; `{i}` stands for the layer.
    name: the tensor's name in the file; parts of one tensor share it.
    layout: "stored -> ours", see the module.
    needs: switch of `DecoderConfig` without which the parameter is absent.
  """

  path: str
  name: str
  layout: str
  needs: str | None = None

  def axes(self) -> tuple[list[list[Word]], list[str]]:
    """Words in each stored dimension, and our own order of their letters."""
    stored, ours = self.layout.split(" -> ")
    groups = re.findall(r"\(([^)]*)\)|(\S+)", stored)
    words = [list(map(_word, (many or one).split())) for many, one in groups]
    return words, ours.split()


def sizes(config: DecoderConfig, head: HeadConfig | None = None) -> Sizes:
  """Size of every letter of the layouts."""
  q_type = head is not None and head.kind == "q"
  return {
    "d": config.width,
    "e": config.width + (head is not None and head.is_predicting),
    "n": config.num_heads,
    "g": config.num_kv_heads,
    "h": config.head_width,
    "m": config.mlp_width,
    "v": config.vocab_size,
    "p": config.max_length,
    "k": head.num_atoms if head else 1,
    "r": config.vocab_size if q_type else 1,
  }


def shape(entry: Entry, sizes: Sizes) -> tuple[int, ...]:
  """Shape of our parameter."""
  return tuple(sizes[letter] for letter in entry.axes()[1])


def stored_shape(entry: Entry, sizes: Sizes) -> tuple[int, ...]:
  """Shape of the tensor in the file."""
  groups, _ = entry.axes()
  return tuple(
    math.prod(word.total(sizes) for word in group) for group in groups
  )


def read(
  entry: Entry,
  sizes: Sizes,
  index: Index,
  read_stored: Callable[[Index], np.ndarray],
) -> np.ndarray:
  """Part `index` of our parameter, touching no more of the file than needed.

  Args:
    entry: the parameter.
    sizes: size of every letter.
    index: one slice for each of our dimensions.
    read_stored: gives a part of the file's tensor.

  Returns:
    The part, in our layout.
  """
  groups, ours = entry.axes()
  wanted = {
    letter: slice(*part.indices(sizes[letter]))
    for letter, part in zip(ours, index, strict=True)
  }
  ranges, split, inner = [], [], []
  for lead, *rest in groups:
    # Within a group only the first word's range is contiguous in the file.
    step = math.prod(word.total(sizes) for word in rest)
    part = lead.within(wanted[lead.letter], sizes)
    ranges.append(slice(part.start * step, part.stop * step))
    split += [part.stop - part.start, *(word.total(sizes) for word in rest)]
    inner += [slice(None)]
    inner += [word.within(wanted[word.letter], sizes) for word in rest]
  block = read_stored(tuple(ranges)).reshape(split)[tuple(inner)]
  letters = [word.letter for group in groups for word in group]
  return block.transpose([letters.index(x) for x in ours])


def to_stored(parts: list[tuple[Entry, np.ndarray]]) -> np.ndarray:
  """The file's tensor from our parameters, the inverse of `read`.

  Args:
    parts: all entries that share one tensor, in the table's order, with their
      parameters.

  Returns:
    The tensor, contiguous.
  """
  blocks, join = [], 0
  for entry, value in parts:
    groups, ours = entry.axes()
    words = [word for group in groups for word in group]
    blocks.append(value.transpose([ours.index(x.letter) for x in words]))
    fused = [i for i, word in enumerate(words) if len(word.parts) > 1]
    join = fused[0] if fused else 0
  whole = np.concatenate(blocks, axis=join)
  shape, start = [], 0
  for group in groups:
    shape.append(math.prod(whole.shape[start : start + len(group)]))
    start += len(group)
  return np.ascontiguousarray(whole.reshape(shape))
