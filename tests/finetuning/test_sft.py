"""Rejection sampling: what it trains on."""

import numpy as np
from oracles import finetuning as oracle
from oracles import micro_runs

from qsharp_jax.finetuning import base


def test_rows_hold_the_right_samples_of_training_questions(tmp_path):
  run = micro_runs.run(tmp_path)
  job = base.Job(run, tmp_path)
  right = [r for r in job.rollouts() if r.correct]
  # Both samples of four training questions; of the fifth, none.
  assert len(job.rollouts()) == 8 and 0 < len(right) <= 8
  rows = oracle.small("sft").recipe(job).batches.rows
  for i, sample in enumerate(right):
    at = rows.sequence_ids == i
    np.testing.assert_array_equal(
      rows.tokens[at], [*sample.prompt, *sample.tokens]
    )
    np.testing.assert_array_equal(rows.tokens[at & rows.mask], sample.tokens)
  assert rows.sequence_ids.max() == len(right) - 1
