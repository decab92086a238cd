"""GRPO, and Dr. GRPO: PPO without a critic, samples measured by their group."""

import dataclasses
from collections.abc import Iterable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from qsharp_jax import models
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base, on_policy
from qsharp_jax.finetuning import experience as experience_lib
from qsharp_jax.ops import advantages, losses, policy_gradient
from qsharp_jax.training import fit as fit_lib
from qsharp_jax.training import objectives


@dataclasses.dataclass(frozen=True)
class GRPO(on_policy.Plan):
  """Advantages within the group of a prompt's samples; the KL in the loss."""

  fit: fit_lib.Fit = fit_lib.Fit(learning_rate=1e-6, num_epochs=1)
  eta: float = 0.04  # KL weight, in standard deviations of a group's rewards
  prompts_per_iteration: int = 16
  num_samples: int = 64
  clip: float = 0.2
  # Dr. GRPO: advantages are not divided by the standard deviation (eta is then
  # in reward units) nor losses by the length of their sample.
  is_dr: bool = False

  def __post_init__(self) -> None:
    """Refuses what means nothing."""
    super().__post_init__()
    if self.num_samples < 2:
      raise InputError(
        f"num_samples is {self.num_samples}; expected at least 2, since a "
        "sample is measured by the others of its prompt"
      )

  def recipe(self, job: base.Job) -> base.Recipe:
    """Samples of all training questions."""
    return base.Recipe(
      objective(job.model, eta=self.eta, clip=self.clip, is_dr=self.is_dr),
      job.load(job.reference),
      on_policy.Collector(
        job, job.run.task.train, self, credit(is_dr=self.is_dr)
      ),
    )


class Targets(NamedTuple):
  """What the loss reads of each token. Each [B, T].

  Attributes:
    log_probs: its log-probability under the policy that sampled it, nats.
    ref_log_probs: and under the reference.
    advantages: of its sample.
  """

  log_probs: Array
  ref_log_probs: Array
  advantages: Array


def credit(*, is_dr: bool) -> experience_lib.Credit:
  """The `Targets` of samples, their rewards without a KL penalty.

  A group whose rewards are all equal stays: its advantages are 0, but the KL
  of its samples counts.

  Args:
    is_dr: leave advantages in reward units.
  """

  def targets(found: experience_lib.Experience) -> Iterable[np.ndarray]:
    of_samples = advantages.group_relative(
      found.rewards, found.is_graded, is_scaled=not is_dr
    )
    for group, row in zip(
      found.completions, np.asarray(of_samples), strict=True
    ):
      for completion, advantage in zip(group, row, strict=True):
        of_tokens = Targets(
          completion.log_probs,
          completion.ref_log_probs,
          np.full(len(completion.tokens), advantage),
        )
        yield np.stack(of_tokens, axis=-1)

  return experience_lib.Credit(targets)


def objective(
  model: models.LanguageModel,
  *,
  eta: float,
  clip: float = 0.2,
  is_dr: bool = False,
) -> objectives.Objective:
  """Clipped policy loss plus weighted KL, every sample of equal weight.

  Labels [B, T, 3] are `Targets`.

  Args:
    model: the policy.
    eta: weight of the KL.
    clip: how far the ratio of probabilities may go from 1.
    is_dr: sum over the tokens of a sample instead of averaging.
  """

  def loss(params: PyTree, batch: objectives.Batch) -> tuple[Array, Array]:
    targets = Targets(*experience_lib.columns(batch))
    log_probs = base.token_log_probs(model, params, batch)
    # Before the loss, as the labels: what is not counted stays finite.
    log_probs = jnp.where(batch["mask"], log_probs, 0.0)
    token_losses = policy_gradient.ppo(
      log_probs, targets.log_probs, targets.advantages, clip=clip
    ) + eta * policy_gradient.k3(log_probs, targets.ref_log_probs)
    means = losses.sequence_weights(batch["mask"], batch["segments"])
    weights = batch["mask"].astype(jnp.float32) if is_dr else means
    return jnp.sum(weights * token_losses), jnp.sum(means)

  return loss
