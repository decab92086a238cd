"""Numerical idioms, each with the failure it prevents."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array, ArrayLike


def per_row(values: ArrayLike, shape: Sequence[int]) -> Array:
  """Broadcasts a hyper-parameter to `shape`, as float32.

  Prevents: a parameter of shape [B] spreading along the last axis of a [B, A]
  array unnoticed whenever B = A. With `shape` = [B, 1] it is an error.

  Args:
    values: one number for all rows, or one per row.
    shape: the shape of "one per row", e.g. [B] or [B, 1].

  Returns:
    The values. Shape `shape`, float32.

  Raises:
    ValueError: `values` does not broadcast to `shape`.
  """
  return jnp.broadcast_to(jnp.asarray(values, jnp.float32), shape)


def masked_mean(
  values: ArrayLike,
  mask: ArrayLike,
  axis: int | Sequence[int] | None = None,
) -> Array:
  """Mean of the values where the mask is set; 0 where it is set nowhere.

  Prevents: 0 / 0 on an empty mask, and a NaN or inf under the mask reaching
  the mean (0 * NaN is NaN) or, through the backward pass, every parameter.

  Args:
    values: any numbers; what lies under the mask is never read. Shape [...].
    mask: boolean or 0/1. Broadcasts to the shape of `values`.
    axis: axes to reduce; all of them by default.

  Returns:
    The mean, float32. Shape of `values` without the reduced axes.
  """
  values = jnp.asarray(values, jnp.float32)
  mask = jnp.broadcast_to(jnp.asarray(mask, bool), values.shape)
  total = jnp.sum(jnp.where(mask, values, 0.0), axis=axis)
  count = jnp.sum(mask, axis=axis).astype(jnp.float32)
  return total / jnp.maximum(count, 1)


def log_mean_exp(exponents: ArrayLike, log_probs: ArrayLike) -> Array:
  """Log of the expectation of an exponential, ln E_p[exp x], last axis.

  Prevents: overflow of exp(x) at x = 1,000 (a reward of 1 at eta = 1e-3), and
  a rest of 1e-7 at x = 0: subtracting the log of p's own mass, which rounding
  keeps from being exactly 0, makes the result exactly 0 there.

  Args:
    exponents: x, finite. Shape [..., K], or what broadcasts to it.
    log_probs: ln p, any offset; -inf drops an outcome. Shape [..., K].

  Returns:
    ln E_p[exp x], float32. Shape [...]. NaN if p has no mass at all.
  """
  exponents, log_probs = jnp.broadcast_arrays(
    jnp.asarray(exponents, jnp.float32), jnp.asarray(log_probs, jnp.float32)
  )
  log_mass = jax.nn.logsumexp(log_probs, axis=-1)
  return jax.nn.logsumexp(log_probs + exponents, axis=-1) - log_mass
