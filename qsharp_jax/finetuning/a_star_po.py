"""A*-PO: regression of the policy's log-ratio on the optimal advantage."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax import models, rollout
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base, on_policy
from qsharp_jax.finetuning import experience as experience_lib
from qsharp_jax.ops import advantages, losses, policy_gradient
from qsharp_jax.training import objectives


@dataclasses.dataclass(frozen=True)
class AStarPO(on_policy.Plan):
  """Regression on the optimal advantage; one sample of a prompt is enough."""

  eta: float = 1e-3
  value_eta: float = 0.5  # of the optimal values, beta_1 in the paper
  num_samples: int = 1

  def recipe(self, job: base.Job) -> base.Recipe:
    """Samples of the questions whose optimal value round 1 tells."""
    values = optimal_values(job.rollouts(), eta=self.value_eta)
    return base.Recipe(
      objective(job.model, eta=self.eta),
      job.load(job.reference),
      on_policy.Collector(
        job,
        [p for p in job.run.task.train if p.id in values],
        self,
        credit(values),
      ),
    )


class Targets(NamedTuple):
  """What the loss reads of each token.

  Attributes:
    ref_log_probs: log-probability of the token under the reference, nats.
    advantages: optimal advantage of its sequence, in reward units.
  """

  ref_log_probs: Array
  advantages: Array


def optimal_values(
  rollouts: Iterable[rollout.Rollout], *, eta: float
) -> Mapping[str, float]:
  """Soft value of each question that has a graded sample, by its id.

  Args:
    rollouts: samples of the reference.
    eta: KL weight of the values, in reward units.

  Raises:
    InputError: no question has one.
  """
  rewards = {
    question: np.array([r.label for r in samples], np.float32)
    for question, samples in base.by_question(rollouts).items()
  }
  if not rewards:
    raise InputError(
      "no sample of round 1 has a reward, so no question has an optimal value: "
      "collect round 1 first, or check the reward"
    )
  sizes = np.array([len(r) for r in rewards.values()])
  most = sizes.max()
  values = advantages.soft_value(
    np.stack([np.pad(r, (0, most - len(r))) for r in rewards.values()]),
    np.arange(most) < sizes[:, None],
    eta=eta,
  )
  return dict(zip(rewards, np.asarray(values).tolist(), strict=True))


def credit(values: Mapping[str, float]) -> experience_lib.Credit:
  """The `Targets` of samples.

  Args:
    values: optimal value of each question, by its id.
  """

  def targets(found: experience_lib.Experience) -> Iterable[np.ndarray]:
    for problem, group, rewards in zip(
      found.problems, found.completions, found.rewards, strict=True
    ):
      for completion, reward in zip(group, rewards, strict=True):
        advantage = np.full(len(completion.tokens), reward - values[problem.id])
        yield np.stack(Targets(completion.ref_log_probs, advantage), axis=-1)

  return experience_lib.Credit(targets)


def objective(
  model: models.LanguageModel, *, eta: float
) -> objectives.Objective:
  """Regression of the log-ratio on the optimal advantage, by sequences.

  Labels [B, T, 2] are `Targets`.
  """

  def loss(params: PyTree, batch: objectives.Batch) -> tuple[Array, Array]:
    targets = Targets(*experience_lib.columns(batch))
    log_probs = base.token_log_probs(model, params, batch)
    sequence_losses = policy_gradient.a_star_po(
      _sequence_sums(log_probs, batch),
      _sequence_sums(targets.ref_log_probs, batch),
      targets.advantages,
      eta=eta,
    )
    weights = losses.sequence_weights(batch["mask"], batch["segments"])
    return losses.weighted_sum(sequence_losses, weights)

  return loss


def _sequence_sums(values: Array, batch: objectives.Batch) -> Array:
  """For each token the sum over the masked tokens of its sequence. [B, T]."""
  kept = jnp.where(batch["mask"], values, 0.0)

  def sums_of_row(kept_row: Array, segments_row: Array) -> Array:
    num_segments = len(segments_row) + 1
    sums = jax.ops.segment_sum(kept_row, segments_row, num_segments)
    return sums[segments_row]

  return jax.vmap(sums_of_row)(kept, batch["segments"])
