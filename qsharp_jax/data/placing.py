"""Where sequences stand in rows: which row, which slots, which number."""

from collections.abc import Iterator

import numpy as np

_CHUNK = 1 << 18  # tokens that are put into their slots at a time


def best_fit(sizes: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
  """Row and first slot of each sequence, longest sequences placed first."""
  rows, starts = np.empty_like(sizes), np.empty_like(sizes)
  with_space = [[] for _ in range(length + 1)]  # rows by what is left in them
  spaces = 0  # bit s is set when some row has s slots left
  num_rows = 0
  for index in np.argsort(-sizes, kind="stable").tolist():
    size = int(sizes[index])
    fitting = spaces >> size
    if fitting:
      space = size + (fitting & -fitting).bit_length() - 1
      row = with_space[space].pop()
      if not with_space[space]:
        spaces ^= 1 << space
    else:
      space, row, num_rows = length, num_rows, num_rows + 1
    rows[index], starts[index] = row, length - space
    left = space - size
    if left:
      with_space[left].append(row)
      spaces |= 1 << left
  return rows, starts


def numbers(rows: np.ndarray, starts: np.ndarray) -> np.ndarray:
  """1, 2, ... from left to right among the sequences of each row. Shape [S]."""
  order = np.lexsort((starts, rows))
  sizes = np.bincount(rows)
  segments = np.empty(len(rows), np.int32)
  segments[order] = 1 + counts(sizes)
  return segments


def chunks(sizes: np.ndarray) -> Iterator[slice]:
  """Consecutive sequences, few enough that index arrays stay small."""
  ends = np.cumsum(sizes)
  first = 0
  while first < len(sizes):
    until = ends[first] - sizes[first] + _CHUNK
    last = max(first + 1, int(np.searchsorted(ends, until, side="right")))
    yield slice(first, last)
    first = last


def indices(places: np.ndarray, sizes: np.ndarray) -> np.ndarray:
  """Flat indices of all slots of sequences that begin at `places`."""
  return np.repeat(places, sizes) + counts(sizes)


def counts(sizes: np.ndarray) -> np.ndarray:
  """0, 1, ... within each of the runs of these sizes, one after another."""
  firsts = np.cumsum(sizes) - sizes
  return np.arange(int(sizes.sum())) - np.repeat(firsts, sizes)
