"""Supervised fine-tuning on the reference's own best answers."""

import dataclasses

import numpy as np

from qsharp_jax import data, rollout, training
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base
from qsharp_jax.training import fit as fit_lib


@dataclasses.dataclass(frozen=True)
class Supervised(base.Settings):
  """Rejection sampling: next-token loss on the samples that are right.

  Of rewards without verdicts, on the best samples of each question.
  """

  fit: fit_lib.Fit = fit_lib.Fit(learning_rate=1e-5, num_epochs=3)

  def recipe(self, job: base.Job) -> base.Recipe:
    """Every right sample of round 1, once an epoch."""
    right = chosen(job.rollouts())
    if not len(right):
      raise InputError(
        "no sample of round 1 is right, so there is nothing to fine-tune on: "
        "take easier questions, more samples, or check the reward"
      )
    rows = data.packing.pack(
      [data.packing.completion(r.prompt, r.tokens) for r in right],
      length=self.fit.max_length,
    )
    return base.Recipe(
      training.objectives.language_model(job.model),
      job.load(job.reference),
      fit_lib.Epochs(rows, self.fit),
    )


def chosen(rollouts: rollout.Rollouts) -> rollout.Rollouts:
  """The right samples, or those with the greatest reward of their question."""
  if rollouts.has_verdicts:
    return rollouts.take(rollouts.correct == 1)
  graded = rollouts.take(rollouts.is_graded)
  ids, codes = graded.questions()
  greatest = np.full(len(ids), -np.inf)
  np.maximum.at(greatest, codes, graded.label)
  return graded.take(graded.label == greatest[codes])
