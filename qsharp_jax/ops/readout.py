"""What the logits of a value model stand for, by the loss that trained it."""

import math
from collections.abc import Sequence
from typing import Literal

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array
from qsharp_jax.ops import distributions, losses

# `bernoulli`: one logit, the log-odds of success. `categorical`: one logit for
# each atom. `squared_error`: the mean itself.
Loss = Literal["bernoulli", "categorical", "squared_error"]


def mean(
  logits: Array, *, loss: Loss, atoms: Sequence[float] | Array | None = None
) -> Array:
  """Mean reward-to-go that value logits stand for.

  Args:
    logits: of a value model. Shape [..., K].
    loss: what trained it.
    atoms: support of a categorical distribution, in reward units. Shape [K].

  Returns:
    Means, in reward units, float32. Shape [...].
  """
  chex.assert_type(logits, float)
  chex.assert_axis_dimension_gt(logits, -1, 0)
  logits = logits.astype(jnp.float32)
  if loss == "bernoulli":
    return jax.nn.sigmoid(logits[..., 0])
  if loss == "squared_error":
    return logits[..., 0]
  return distributions.mean(
    jax.nn.log_softmax(logits), jnp.asarray(atoms, jnp.float32)
  )


def distribution(
  logits: Array, *, loss: Loss, atoms: Sequence[float] | Array | None = None
) -> tuple[Array, Array]:
  """Distribution of the reward-to-go that value logits stand for.

  Args:
    logits: of a value model. Shape [..., K].
    loss: what trained it, `bernoulli` or `categorical`.
    atoms: support of a categorical distribution, in reward units. Shape [K].

  Returns:
    Log-probabilities, float32 [..., K], and their atoms [K]; K is 2 for
    `bernoulli`, failure before success.
  """
  chex.assert_type(logits, float)
  chex.assert_axis_dimension_gt(logits, -1, 0)
  logits = logits.astype(jnp.float32)
  if loss == "bernoulli":
    signed = jnp.stack([-logits[..., 0], logits[..., 0]], axis=-1)
    return jax.nn.log_sigmoid(signed), jnp.arange(2.0)
  return jax.nn.log_softmax(logits), jnp.asarray(atoms, jnp.float32)


def bounds(
  *, loss: Loss, atoms: Sequence[float] | None = None
) -> tuple[float, float]:
  """Least and greatest reward that value logits can stand for.

  Args:
    loss: what trained them.
    atoms: support of a categorical distribution, in reward units. Shape [K].

  Returns:
    In reward units; infinite for `squared_error`, whose means have no end.
  """
  if loss == "bernoulli":
    return 0.0, 1.0
  if loss == "squared_error" or atoms is None:
    return -math.inf, math.inf
  return min(atoms), max(atoms)


def token_loss(
  logits: Array,
  labels: Array,
  *,
  loss: Loss,
  atoms: Sequence[float] | Array | None = None,
) -> Array:
  """Loss of value logits at labels.

  Args:
    logits: of a value model. Shape [..., K].
    labels: rewards-to-go. Shape [...].
    loss: which one.
    atoms: support of a categorical distribution, in reward units. Shape [K].

  Returns:
    Losses, float32. Shape [...].
  """
  chex.assert_type([logits, labels], float)
  chex.assert_rank(logits, jnp.ndim(labels) + 1)
  chex.assert_equal_shape_prefix([logits, labels], jnp.ndim(labels))
  if loss == "bernoulli":
    return losses.bernoulli(logits[..., 0], labels)
  if loss == "squared_error":
    return losses.squared_error(logits[..., 0], labels)
  atoms = jnp.asarray(atoms, jnp.float32)
  return losses.categorical(logits, distributions.two_hot(labels, atoms))
