"""What each kind of training minimises, as a sum and its weight.

An objective maps (params, batch) to the pair (weighted sum of token losses,
sum of weights). Pairs add up over micro-batches and devices; means of means do
not.
"""

from collections.abc import Callable, Mapping

import chex
import jax.numpy as jnp

from qsharp_jax import models
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.ops import losses, readout

Batch = Mapping[str, Array]
Objective = Callable[[PyTree, Batch], tuple[Array, Array]]


def language_model(model: models.LanguageModel) -> Objective:
  """Next-token loss on the masked tokens, every token of equal weight."""

  def objective(params: PyTree, batch: Batch) -> tuple[Array, Array]:
    _check(batch, "tokens", "positions", "segments", "mask")
    token_losses = next_token_losses(model, params, batch)
    # The first token of a segment has no predecessor to be predicted from.
    weights = batch["mask"][:, 1:] & (batch["positions"][:, 1:] > 0)
    return losses.weighted_sum(token_losses, weights.astype(jnp.float32))

  return objective


def next_token_losses(
  model: models.LanguageModel, params: PyTree, batch: Batch
) -> Array:
  """What predicting each token but the first of a row costs.

  Args:
    model: the language model.
    params: its parameters.
    batch: `tokens`, `positions` and `segments`, each [B, T].

  Returns:
    Nats, float32; without meaning for the first token of a sequence, which
    nothing predicts, and for padding. Shape [B, T - 1].
  """
  hidden, _ = model.apply(
    params,
    batch["tokens"],
    batch["positions"],
    segments=batch["segments"],
    method="hidden",
  )
  logits = model.apply(params, hidden[:, :-1], method="logits")
  return losses.next_token(logits, batch["tokens"][:, 1:])


def value(
  model: models.ValueModel,
  *,
  loss: readout.Loss,
  atoms: tuple[float, ...] | None = None,
) -> Objective:
  """Maximum likelihood of the reward-to-go, averaged sequence by sequence.

  Args:
    model: the value model.
    loss: `bernoulli` for rewards in [0, 1] as probabilities of success,
      `categorical` for a distribution on `atoms`, `squared_error` for the mean
      alone.
    atoms: support of the categorical distribution. Shape [K].

  Returns:
    The objective. Batches carry labels [B, T] (reward-to-go) and mask [B, T]
    (positions at or after the switch).

  Source: arXiv 2502.20548, Algorithm 1 and section 2.3 (no bootstrapping: the
  label is the return of a reference roll-out).
  """

  def objective(params: PyTree, batch: Batch) -> tuple[Array, Array]:
    _check(batch, "tokens", "positions", "segments", "mask", "labels")
    logits = model.apply(
      params, batch["tokens"], batch["positions"], batch["segments"]
    )
    weights = losses.sequence_weights(batch["mask"], batch["segments"])
    token_losses = readout.token_loss(
      logits, batch["labels"], loss=loss, atoms=atoms
    )
    return losses.weighted_sum(token_losses, weights)

  return objective


def _check(batch: Batch, *names: str) -> None:
  """Checks rows of tokens [B, T] and what stands beside each token."""
  types = {"mask": bool, "labels": float}
  fields = [batch[name] for name in names]
  chex.assert_rank(fields, 2)
  chex.assert_type(fields, [types.get(name, int) for name in names])
  chex.assert_equal_shape(fields)
