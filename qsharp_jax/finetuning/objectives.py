"""Objectives that tune a policy, over the rows that carry their data as labels.

As in `objectives`, an objective maps (params, batch) to a weighted sum and its
weight. What was frozen or sampled, such as the reference's log-probabilities,
comes as labels, so that no second model takes part in training.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from qsharp_jax import models
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.ops import losses, policy_gradient
from qsharp_jax.training import objectives

# (chosen, rejected, ref_chosen, ref_rejected, num_chosen) -> losses, each [B]:
# log-probabilities of sequences, and the number of tokens of the chosen one.
PairLoss = Callable[[Array, Array, Array, Array, Array], Array]


def token_log_probs(
  model: models.LanguageModel, params: PyTree, batch: objectives.Batch
) -> Array:
  """Log-probability of each token given those before it in its sequence.

  Args:
    model: the language model.
    params: its parameters.
    batch: `tokens`, `positions` and `segments`, each [B, T].

  Returns:
    Nats, float32; 0 for first tokens and padding. Shape [B, T].
  """
  hidden, _ = model.apply(
    params,
    batch["tokens"],
    batch["positions"],
    segments=batch["segments"],
    method="hidden",
  )
  logits = model.apply(params, hidden[:, :-1], method="logits")
  found = -losses.next_token(logits, batch["tokens"][:, 1:])
  found = jnp.pad(found, ((0, 0), (1, 0)))
  return jnp.where(batch["positions"] > 0, found, 0.0)


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


def preference(
  model: models.LanguageModel, loss: PairLoss
) -> objectives.Objective:
  """A loss on pairs, every pair of equal weight.

  Rows are those of `packing.pack_pairs`; their labels [B, T] are the
  log-probabilities of the tokens under the reference.
  """

  def objective(params: PyTree, batch: objectives.Batch) -> tuple[Array, Array]:
    log_probs = token_log_probs(model, params, batch)
    chosen, rejected = (
      batch["mask"] & (batch["segments"] == segment) for segment in (1, 2)
    )
    total = lambda values, mask: jnp.sum(jnp.where(mask, values, 0.0), axis=1)
    pair_losses = loss(
      total(log_probs, chosen),
      total(log_probs, rejected),
      total(batch["labels"], chosen),
      total(batch["labels"], rejected),
      total(1.0, chosen),
    )
    # A row of padding, which completes a batch, is no pair.
    is_pair = jnp.any(rejected, axis=1) & jnp.any(chosen, axis=1)
    return losses.weighted_sum(pair_losses, is_pair.astype(jnp.float32))

  return objective


def reinforce(model: models.LanguageModel) -> objectives.Objective:
  """REINFORCE, summed over tokens, every sequence of equal weight.

  Labels [B, T] are the advantages of the tokens' sequences.
  """

  def objective(params: PyTree, batch: objectives.Batch) -> tuple[Array, Array]:
    log_probs = token_log_probs(model, params, batch)
    advantages = jnp.where(batch["mask"], batch["labels"], 0.0)
    total = jnp.sum(policy_gradient.reinforce(log_probs, advantages))
    weights = losses.sequence_weights(batch["mask"], batch["segments"])
    return total, jnp.sum(weights)

  return objective


def a_star_po(
  model: models.LanguageModel, *, eta: float
) -> objectives.Objective:
  """Regression of the log-ratio on the optimal advantage, by sequences.

  Labels [B, T, 2]: the reference's log-probability of the token, and the
  optimal advantage of its sequence.
  """

  def objective(params: PyTree, batch: objectives.Batch) -> tuple[Array, Array]:
    ref_log_probs, advantages = _columns(batch)
    own = lambda x: _sequence_sums(x, batch["mask"], batch["segments"])
    log_probs = token_log_probs(model, params, batch)
    sequence_losses = policy_gradient.a_star_po(
      own(log_probs), own(ref_log_probs), advantages, eta=eta
    )
    weights = losses.sequence_weights(batch["mask"], batch["segments"])
    return losses.weighted_sum(sequence_losses, weights)

  return objective


def ppo(
  model: models.LanguageModel,
  critic: models.ValueModel,
  *,
  clip: float = 0.2,
  value_clip: float = 0.2,
  value_weight: float = 0.5,
) -> objectives.Objective:
  """Clipped policy loss plus weighted value loss, every token of equal weight.

  Parameters are {"policy": …, "critic": …}. Labels [B, T, 4]: the
  log-probability when the token was sampled, its advantage, and return and
  value of the state before it.
  """

  def objective(params: PyTree, batch: objectives.Batch) -> tuple[Array, Array]:
    old, advantages, returns, old_values = _columns(batch)
    policy_losses = policy_gradient.ppo(
      token_log_probs(model, params["policy"], batch),
      old,
      advantages,
      clip=clip,
    )
    value_losses = policy_gradient.clipped_value(
      state_values(critic, params["critic"], batch),
      old_values,
      returns,
      clip=value_clip,
    )
    return losses.weighted_sum(
      policy_losses + value_weight * value_losses,
      batch["mask"].astype(jnp.float32),
    )

  return objective


def _columns(batch: objectives.Batch) -> Array:
  """The columns of the labels, 0 outside the mask. Shape [F, B, T]."""
  # Before the loss: after it, the gradient would be 0 times what is there.
  labels = jnp.where(batch["mask"][..., None], batch["labels"], 0.0)
  return jnp.moveaxis(labels, -1, 0)


def _sequence_sums(values: Array, mask: Array, segments: Array) -> Array:
  """For each token the sum over the masked tokens of its sequence. [B, T]."""
  kept = jnp.where(mask, values, 0.0)

  def own(kept_row: Array, segments_row: Array) -> Array:
    num_segments = len(segments_row) + 1
    sums = jax.ops.segment_sum(kept_row, segments_row, num_segments)
    return sums[segments_row]

  return jax.vmap(own)(kept, segments)
