import numpy as np
from oracles import finetuning as oracle

from qsharp_jax.finetuning import experience as experience_lib


def test_summary_counts_failures_apart():
  found = experience_lib.summary(oracle.experience())
  np.testing.assert_allclose(found.pop("kl"), 0.1 * 2.5, rtol=1e-5)
  assert found == {"reward": 0.5, "length": 2.5, "failed": 1}


def test_sequences_leave_out_what_was_not_graded():
  found = oracle.experience()
  num = found.is_graded.size
  labels = [
    np.full(len(c.tokens), i, np.float32)
    for i, c in enumerate(c for group in found.completions for c in group)
  ]
  kept = list(experience_lib.sequences(found, labels))
  graded = np.flatnonzero(found.is_graded.ravel())
  assert len(kept) == len(graded) < num
  for own, place in zip(kept, graded, strict=True):
    assert (own.labels[own.mask] == place).all() and own.mask.any()
    assert not own.mask[0]


def test_columns_are_zero_outside_the_mask():
  labels = np.array([[[1.0, 2.0], [np.nan, 3.0]]], np.float32)
  batch = {"labels": labels, "mask": np.array([[True, False]])}
  np.testing.assert_array_equal(
    experience_lib.columns(batch), [[[1.0, 0.0]], [[2.0, 0.0]]]
  )
