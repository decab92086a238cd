"""RLOO: REINFORCE, one advantage for all tokens of a sample."""

import dataclasses
from collections.abc import Iterable
from typing import Literal

import jax.numpy as jnp
import numpy as np

from qsharp_jax import models
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base, on_policy
from qsharp_jax.finetuning import experience as experience_lib
from qsharp_jax.ops import advantages, losses, policy_gradient
from qsharp_jax.training import objectives

Baseline = Literal["leave_one_out", "batch"]

_ADVANTAGES = {
  "leave_one_out": advantages.leave_one_out,
  "batch": advantages.batch_baseline,
}


@dataclasses.dataclass(frozen=True)
class RLOO(on_policy.Plan):
  """REINFORCE; its baseline is the mean of the prompt's other samples."""

  baseline: Baseline = "leave_one_out"

  def __post_init__(self) -> None:
    """Refuses what means nothing."""
    super().__post_init__()
    if self.baseline not in _ADVANTAGES:
      raise InputError(
        f"baseline is {self.baseline!r}; expected one of "
        f"{', '.join(_ADVANTAGES)}"
      )
    if self.baseline == "leave_one_out" and self.num_samples < 2:
      raise InputError(
        f"num_samples is {self.num_samples}; expected at least 2 for the "
        "baseline leave_one_out, or the baseline batch"
      )

  def recipe(self, job: base.Job) -> base.Recipe:
    """Samples of all training questions."""
    return base.Recipe(
      objective(job.model),
      job.load(job.reference),
      on_policy.Collector(
        job,
        job.run.task.train,
        self,
        credit(eta=self.eta, baseline=self.baseline),
      ),
    )


def credit(*, eta: float, baseline: Baseline) -> experience_lib.Credit:
  """The advantage of each sample, its KL penalty included, on all its tokens.

  Args:
    eta: KL weight, in reward units.
    baseline: what is subtracted from the rewards to reduce variance.
  """

  def labels(found: experience_lib.Experience) -> Iterable[np.ndarray]:
    rewards = advantages.penalised(
      found.rewards,
      found.totals("log_probs"),
      found.totals("ref_log_probs"),
      eta=eta,
    )
    of_samples = _ADVANTAGES[baseline](rewards, found.is_graded)
    for group, row in zip(
      found.completions, np.asarray(of_samples), strict=True
    ):
      for completion, advantage in zip(group, row, strict=True):
        yield np.full(len(completion.tokens), advantage)

  return experience_lib.Credit(labels)


def objective(model: models.LanguageModel) -> objectives.Objective:
  """REINFORCE, summed over tokens, every sequence of equal weight.

  Labels [B, T] are the advantages of the tokens' sequences.
  """

  def loss(params: PyTree, batch: objectives.Batch) -> tuple[Array, Array]:
    log_probs = base.token_log_probs(model, params, batch)
    of_tokens = jnp.where(batch["mask"], batch["labels"], 0.0)
    total = jnp.sum(policy_gradient.reinforce(log_probs, of_tokens))
    weights = losses.sequence_weights(batch["mask"], batch["segments"])
    return total, jnp.sum(weights)

  return loss
