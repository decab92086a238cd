"""A function of all rows, a batch at a time."""

import numpy as np
import pytest
from oracles import finetuning as oracle
from oracles import micro_runs

from qsharp_jax import data
from qsharp_jax.training import rows as rows_lib


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_over_rows_keeps_every_row_in_its_place(batch_size):
  rows = data.packing.pad(oracle.sequences(2), length=8)
  seen = []

  def forward(batch):
    seen.append(batch["tokens"].shape)
    return {"twice": 2 * batch["labels"], "first": batch["tokens"][:, 0]}

  found = rows_lib.over_rows(
    forward, rows, batch_size=batch_size, layout=micro_runs.one_device()
  )
  assert set(seen) == {(batch_size, 8)}
  np.testing.assert_array_equal(found["twice"], 2 * rows.labels)
  np.testing.assert_array_equal(found["first"], rows.tokens[:, 0])


def test_padding_behind_rows_says_that_it_is_none():
  rows = data.packing.pad(oracle.sequences(2), length=8)
  found = rows_lib.completed(rows, len(rows.tokens) + 3)
  for old, new, filler in zip(rows, found, data.packing.PADDING, strict=True):
    np.testing.assert_array_equal(new[: len(old)], old)
    assert (new[len(old) :] == filler).all() and len(new) == len(old) + 3
    assert new.dtype == old.dtype
