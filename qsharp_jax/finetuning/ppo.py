"""PPO, and RTO, which is PPO on the token rewards of a DPO policy.

Parameters in training are {"policy": …, "critic": …}.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax import data, models
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.finetuning import base, on_policy, preference
from qsharp_jax.finetuning import experience as experience_lib
from qsharp_jax.ops import advantages, losses, policy_gradient
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.training import fit as fit_lib
from qsharp_jax.training import objectives
from qsharp_jax.training import rows as rows_lib


class Sampled(NamedTuple):
  """What is known of each token when it was sampled. Each [B, T].

  Attributes:
    log_probs: its log-probability under the policy, nats.
    ref_log_probs: and under the reference.
    rewards: the reward of the sequence at its last token, 0 elsewhere.
  """

  log_probs: Array
  ref_log_probs: Array
  rewards: Array


class Targets(NamedTuple):
  """What the loss reads of each token. Each [B, T].

  Attributes:
    log_probs: its log-probability under the policy that sampled it, nats.
    advantages: whitened over the iteration.
    returns: of the state before the token, in reward units.
    values: what the critic said of that state, in reward units.
  """

  log_probs: Array
  advantages: Array
  returns: Array
  values: Array


class TokenRewards(NamedTuple):
  """Rewards of all tokens, before the KL penalty.

  Attributes:
    of_tokens: (params, batch, tokens as they were sampled) -> rewards [B, T].
    params: of the model that knows them.
  """

  of_tokens: Callable[[PyTree, objectives.Batch, Sampled], Array]
  params: PyTree


def _at_last_token(
  params: PyTree, batch: objectives.Batch, sampled: Sampled
) -> Array:
  del params, batch
  return sampled.rewards


AT_LAST_TOKEN = TokenRewards(_at_last_token, {})


@dataclasses.dataclass(frozen=True)
class PPO(on_policy.Plan):
  """Proximal policy optimisation with a critic."""

  fit: fit_lib.Fit = fit_lib.Fit(learning_rate=1e-6, num_epochs=4)
  clip: float = 0.2
  value_clip: float = 0.2  # in reward units; inf to clip nothing
  value_weight: float = 0.5
  discount: float = 1.0
  decay: float = 0.95  # lambda of the advantages

  def recipe(self, job: base.Job) -> base.Recipe:
    """Samples of all training questions; the critic starts from the policy."""
    layout = job.run.layout
    _, critic = self.trained(job.model)
    *_, critic_params = huggingface.load_value_model(
      job.reference, head=critic.head, shardings=layout.for_training(critic)
    )
    credit = actor_critic(
      critic,
      layout,
      eta=self.eta,
      discount=self.discount,
      decay=self.decay,
      batch_size=self.fit.batch_size,
      token_rewards=self.token_rewards(job),
    )
    return base.Recipe(
      objective(
        job.model,
        critic,
        clip=self.clip,
        value_clip=self.value_clip,
        value_weight=self.value_weight,
      ),
      {"policy": job.load(job.reference), "critic": critic_params},
      on_policy.Collector(job, job.run.task.train, self, credit),
    )

  def trained(
    self, model: models.LanguageModel
  ) -> tuple[models.LanguageModel, models.ValueModel]:
    """The policy and its critic."""
    critic = models.ValueModel(model.config, models.HeadConfig("v", 1))
    return model, critic

  def token_rewards(self, job: base.Job) -> TokenRewards:
    """The last token gets the reward of its sequence."""
    del job
    return AT_LAST_TOKEN

  def policy(self, params: PyTree) -> PyTree:
    """The language model among the parameters in training."""
    return params["policy"]


@dataclasses.dataclass(frozen=True)
class RTO(PPO):
  """PPO on the token rewards of a DPO policy, which is trained first."""

  dpo: preference.Preference = preference.Preference()
  weight: float = 1.0  # of the sequence's own reward

  @property
  def first(self) -> Mapping[str, base.Settings]:
    """The DPO policy."""
    return {"dpo": self.dpo}

  def seeded(self, seed: int) -> Self:
    """The same settings with another seed, the DPO policy's included."""
    return dataclasses.replace(super().seeded(seed), dpo=self.dpo.seeded(seed))

  def token_rewards(self, job: base.Job) -> TokenRewards:
    """What the DPO policy says of each token, relative to the reference."""

    def of_tokens(
      params: PyTree, batch: objectives.Batch, sampled: Sampled
    ) -> Array:
      return advantages.rto(
        sampled.rewards,
        base.token_log_probs(job.model, params, batch),
        sampled.ref_log_probs,
        dpo_eta=self.dpo.eta,
        weight=self.weight,
      )

    return TokenRewards(of_tokens, job.load(job.trained["dpo"]))


def actor_critic(
  critic: models.ValueModel,
  layout: layout_lib.Layout,
  *,
  eta: float,
  discount: float,
  decay: float,
  batch_size: int,
  token_rewards: TokenRewards = AT_LAST_TOKEN,
) -> experience_lib.Credit:
  """Generalised advantages of KL-penalised token rewards, whitened.

  Args:
    critic: the value model.
    layout: places batches.
    eta: KL weight, in reward units.
    discount: gamma of the advantages.
    decay: lambda of the advantages.
    batch_size: rows that the critic reads at a time.
    token_rewards: before the penalty.

  Returns:
    Credit that makes `Sampled` of samples, and `Targets` of rows.
  """

  @jax.jit
  def estimate(
    params: PyTree, reward_params: PyTree, batch: objectives.Batch
  ) -> Targets:
    sampled = Sampled(*jnp.moveaxis(batch["labels"], -1, 0))
    rewards = advantages.penalised(
      token_rewards.of_tokens(reward_params, batch, sampled),
      sampled.log_probs,
      sampled.ref_log_probs,
      eta=eta,
    )
    values = state_values(critic, params, batch)
    segments = batch["segments"]
    is_last = segments != jnp.pad(segments[:, 1:], ((0, 0), (0, 1)))
    estimates = advantages.gae(
      rewards, values, is_last, discount=discount, decay=decay
    )
    return Targets(
      log_probs=sampled.log_probs,
      advantages=estimates,
      returns=estimates + values,
      values=values,
    )

  def of_rows(params: PyTree, rows: data.Packed) -> np.ndarray:
    targets = rows_lib.over_rows(
      functools.partial(estimate, params["critic"], token_rewards.params),
      rows,
      batch_size=batch_size,
      layout=layout,
    )
    white = advantages.whiten(targets.advantages, rows.mask)
    labels = np.stack(targets._replace(advantages=white), axis=-1)
    return np.where(rows.mask[..., None], labels, 0.0)

  return experience_lib.Credit(_sampled, of_rows)


def _sampled(found: experience_lib.Experience) -> Iterable[np.ndarray]:
  """`Sampled` of each completion, as columns. [n, 3]."""
  for group, rewards in zip(found.completions, found.rewards, strict=True):
    for completion, reward in zip(group, rewards, strict=True):
      at_last = np.arange(len(completion.tokens)) == len(completion.tokens) - 1
      sampled = Sampled(
        completion.log_probs, completion.ref_log_probs, reward * at_last
      )
      yield np.stack(sampled, axis=-1)


def state_values(
  critic: models.ValueModel, params: PyTree, batch: objectives.Batch
) -> Array:
  """Value of the state in which each token was chosen: that before it.

  Args:
    critic: a V-type value model of one atom, whose logit is the value itself.
    params: its parameters.
    batch: `tokens`, `positions` and `segments`, each [B, T].

  Returns:
    Reward units, float32; 0 for first tokens. Shape [B, T].
  """
  values = critic.apply(
    params, batch["tokens"], batch["positions"], batch["segments"]
  )[..., 0]
  values = jnp.pad(values[:, :-1], ((0, 0), (1, 0)))
  return jnp.where(batch["positions"] > 0, values, 0.0)


def objective(
  model: models.LanguageModel,
  critic: models.ValueModel,
  *,
  clip: float = 0.2,
  value_clip: float = 0.2,
  value_weight: float = 0.5,
) -> objectives.Objective:
  """Clipped policy loss plus weighted value loss, every token of equal weight.

  Labels [B, T, 4] are `Targets`.
  """

  def loss(params: PyTree, batch: objectives.Batch) -> tuple[Array, Array]:
    targets = Targets(*experience_lib.columns(batch))
    policy_losses = policy_gradient.ppo(
      base.token_log_probs(model, params["policy"], batch),
      targets.log_probs,
      targets.advantages,
      clip=clip,
    )
    value_losses = policy_gradient.clipped_value(
      state_values(critic, params["critic"], batch),
      targets.values,
      targets.returns,
      clip=value_clip,
    )
    return losses.weighted_sum(
      policy_losses + value_weight * value_losses,
      batch["mask"].astype(jnp.float32),
    )

  return loss
