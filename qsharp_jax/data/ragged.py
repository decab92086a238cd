"""Many arrays of different lengths in one."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Ragged:
  """A column of arrays that lie somewhere in one flat array.

  To select entries copies no values: only the starts and lengths change.

  Attributes:
    values: of all entries, and perhaps of others that are not selected.
    starts: index of each entry's first value, int64. Shape [n].
    lengths: number of each entry's values, int64. Shape [n].
  """

  values: np.ndarray
  starts: np.ndarray
  lengths: np.ndarray

  @classmethod
  def of(cls, arrays: Sequence[Sequence[int]], dtype=np.int32) -> "Ragged":
    """A column of the given arrays."""
    lengths = np.fromiter(map(len, arrays), np.int64, len(arrays))
    parts = [np.asarray(array, dtype) for array in arrays]
    values = np.concatenate([np.zeros(0, dtype), *parts])
    return cls(values, np.cumsum(lengths) - lengths, lengths)

  @classmethod
  def from_offsets(cls, values: np.ndarray, offsets: np.ndarray) -> "Ragged":
    """Entry i is values[offsets[i] : offsets[i + 1]], as in Arrow's lists."""
    offsets = np.asarray(offsets, np.int64)
    return cls(values, offsets[:-1], np.diff(offsets))

  @classmethod
  def concatenate(cls, columns: Sequence["Ragged"]) -> "Ragged":
    """All entries of all columns; one column alone is not copied."""
    if len(columns) == 1:
      return columns[0]
    sizes = np.array([len(column.values) for column in columns], np.int64)
    shifts = np.cumsum(sizes) - sizes
    starts = [c.starts + s for c, s in zip(columns, shifts, strict=True)]
    return cls(
      np.concatenate([column.values for column in columns]),
      np.concatenate(starts),
      np.concatenate([column.lengths for column in columns]),
    )

  def take(self, chosen: np.ndarray) -> "Ragged":
    """The entries at some indices, or where a mask is true."""
    return Ragged(self.values, self.starts[chosen], self.lengths[chosen])

  def __len__(self) -> int:
    return len(self.starts)

  def __getitem__(self, index: int) -> np.ndarray:
    start = self.starts[index]
    return self.values[start : start + self.lengths[index]]

  def __iter__(self) -> Iterator[np.ndarray]:
    return (self[index] for index in range(len(self)))
