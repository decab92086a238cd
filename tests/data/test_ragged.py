"""Columns of arrays of different lengths, without copies."""

import numpy as np
import pytest

from qsharp_jax.data.ragged import Ragged

ARRAYS = [[1, 2, 3], [], [4], [5, 6]]


def lists(column):
  return [array.tolist() for array in column]


def test_holds_what_it_was_made_of():
  column = Ragged.of(ARRAYS)
  assert lists(column) == ARRAYS and len(column) == 4
  assert column.values.dtype == np.int32
  assert column.lengths.tolist() == [3, 0, 1, 2]
  assert lists(Ragged.of([])) == []


def test_takes_over_arrow_offsets():
  values = np.array([9, 1, 2, 3, 4], np.int32)
  column = Ragged.from_offsets(values, np.array([1, 4, 4, 5], np.int32))
  assert lists(column) == [[1, 2, 3], [], [4]]
  assert column.values is values and column.starts.dtype == np.int64


@pytest.mark.parametrize(
  "chosen", [np.array([3, 0, 0]), np.array([True, False, False, True])]
)
def test_a_selection_copies_no_values(chosen):
  column = Ragged.of(ARRAYS)
  part = column.take(chosen)
  assert lists(part) == [ARRAYS[i] for i in np.arange(4)[chosen]]
  assert part.values is column.values
  assert np.shares_memory(part[0], column.values)


def test_concatenates_selections():
  column = Ragged.of(ARRAYS)
  part = column.take(np.array([2, 3]))
  both = Ragged.concatenate([part, column])
  assert lists(both) == [*ARRAYS[2:], *ARRAYS]
  assert Ragged.concatenate([part]) is part
