"""Rows, slots and numbers of sequences, by hand."""

import numpy as np
import pytest

from qsharp_jax.data import placing


def test_the_longest_come_first_and_go_where_least_is_left():
  # 6 and 5 open rows of 8, which 3 and 2 fill; nothing is left for 1.
  rows, starts = placing.best_fit(np.array([2, 5, 3, 6, 1]), 8)
  assert rows.tolist() == [0, 1, 1, 0, 2]
  assert starts.tolist() == [6, 0, 5, 0, 0]


def test_numbers_go_from_left_to_right_in_each_row():
  rows, starts = np.array([1, 0, 1, 1]), np.array([5, 0, 0, 2])
  assert placing.numbers(rows, starts).tolist() == [3, 1, 1, 2]


def test_indices_and_counts_run_through_each_sequence():
  places, sizes = np.array([10, 3, 7]), np.array([2, 3, 1])
  assert placing.indices(places, sizes).tolist() == [10, 11, 3, 4, 5, 7]
  assert placing.counts(sizes).tolist() == [0, 1, 0, 1, 2, 0]
  assert placing.counts(np.zeros(0, int)).tolist() == []


@pytest.mark.parametrize(
  ("chunk", "parts"),
  [
    (4, [(0, 1), (1, 2), (2, 4)]),  # one that is larger goes alone
    (9, [(0, 2), (2, 4)]),
    (1, [(0, 1), (1, 2), (2, 3), (3, 4)]),
    (99, [(0, 4)]),
  ],
)
def test_chunks_hold_as_many_tokens_as_they_may(chunk, parts, monkeypatch):
  monkeypatch.setattr(placing, "_CHUNK", chunk)
  found = placing.chunks(np.array([3, 6, 2, 2]))
  assert [(part.start, part.stop) for part in found] == parts
