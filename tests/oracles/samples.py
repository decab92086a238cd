"""Samples of two questions, whose numbers can be had by hand."""

import numpy as np

from qsharp_jax.evaluation.samples import Samples


def samples(num_samples=8, value=None):
  """Question a: 3 of 8 right, b: none; drawn in turns."""
  ids, correct, extracted = [], [], []
  for draw in range(num_samples):
    ids += ["a", "b"]
    correct += [draw in (0, 1, 7), False]
    # Question a: 7 has 3 votes, the others one each.
    extracted += ["7" if draw in (0, 1, 7) else f"w{draw}", None]
  count = len(ids)
  return Samples(
    question_ids=ids,
    reward=np.array(correct, float),
    correct=np.array(correct),
    extracted=extracted,
    kl=np.arange(count, dtype=np.float32),
    kl_filtered=np.arange(count) + 1.0,
    length=np.full(count, 10),
    truncated=np.arange(count) % 4 == 0,
    seconds=2.0,
    value=value,
  )
