"""Categorical distributions of the reward-to-go on a support of K atoms."""

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core import numerics
from qsharp_jax.core.arrays import Array, ArrayLike
from qsharp_jax.core.errors import InputError


def support(v_min: float, v_max: float, num_atoms: int) -> Array:
  """Evenly spaced atoms from `v_min` to `v_max`, both included.

  Args:
    v_min: least reward, in reward units; any sign, 0 included.
    v_max: greatest reward, in reward units, > `v_min`.
    num_atoms: number of atoms K, >= 2.

  Returns:
    The atoms, increasing, float32. Shape [K].

  Raises:
    InputError: the interval is empty or holds fewer than two atoms.
  """
  if not v_min < v_max:
    raise InputError(
      f"got v_min={v_min} and v_max={v_max}, expected v_min < v_max: "
      "widen the interval"
    )
  if num_atoms < 2:
    raise InputError(
      f"got num_atoms={num_atoms}, expected at least 2 (one per end of the "
      "interval): raise num_atoms"
    )
  return jnp.linspace(v_min, v_max, num_atoms, dtype=jnp.float32)


def two_hot(values: ArrayLike, atoms: Array) -> Array:
  """Projects values onto their two neighbouring atoms, keeping the mean.

  Args:
    values: rewards; clipped to the support. Shape [...].
    atoms: support, increasing. Shape [K], K >= 2.

  Returns:
    Probabilities, at most two of them positive. Shape [..., K].

  Source: arXiv 1707.06887, Eq. (7), for a single value.
  """
  chex.assert_rank(atoms, 1)
  chex.assert_type(atoms, float)
  num_atoms = atoms.shape[0]
  values = jnp.clip(jnp.asarray(values, jnp.float32), atoms[0], atoms[-1])
  below = jnp.searchsorted(atoms, values, side="right") - 1
  below = jnp.clip(below, 0, num_atoms - 2)
  gap = atoms[below + 1] - atoms[below]
  upper = ((values - atoms[below]) / gap)[..., None]
  return (1 - upper) * jax.nn.one_hot(below, num_atoms) + (
    upper * jax.nn.one_hot(below + 1, num_atoms)
  )


def mean(log_probs: Array, atoms: Array) -> Array:
  """Mean of the distribution, E[z], in reward units.

  Args:
    log_probs: normalised log-probabilities. Shape [..., K].
    atoms: support. Shape [K].

  Returns:
    The mean, float32. Shape [...].
  """
  _assert_distribution(log_probs, atoms)
  atoms = jnp.broadcast_to(atoms, log_probs.shape)
  # A product and a sum, not `@`: accelerators multiply matrices in fewer bits.
  return jnp.sum(_probs(log_probs) * atoms, axis=-1)


def variance(log_probs: Array, atoms: Array) -> Array:
  """Variance of the distribution, in reward units squared.

  Args:
    log_probs: normalised log-probabilities. Shape [..., K].
    atoms: support. Shape [K].

  Returns:
    The variance, float32, >= 0. Shape [...].
  """
  _assert_distribution(log_probs, atoms)
  # Around the mean: E[z^2] - E[z]^2 cancels, and may turn out negative.
  means = mean(log_probs, atoms)[..., None]
  deviations = jnp.broadcast_to(atoms, log_probs.shape) - means
  return jnp.sum(_probs(log_probs) * jnp.square(deviations), axis=-1)


def log_mean_exp(log_probs: Array, atoms: Array, *, eta: ArrayLike) -> Array:
  """Log of the exponential moment of the distribution, ln E[exp(z / eta)].

  It is the log-weight guidance gives to the distribution; times eta, it is the
  soft value Q* in reward units.

  Args:
    log_probs: log-probabilities, any offset. Shape [..., K].
    atoms: support, in reward units. Shape [K].
    eta: KL weight, in reward units, > 0, inf allowed (the result is then
      exactly 0). Scalar, or broadcasts to [...].

  Returns:
    The log-moment, float32, in [min z / eta, max z / eta]. Shape [...].

  Source: arXiv 2502.20548, the closed form of Q* for a deterministic MDP.
  """
  _assert_distribution(log_probs, atoms)
  inverse_eta = 1 / numerics.per_row(eta, log_probs.shape[:-1])
  atoms = jnp.broadcast_to(atoms, log_probs.shape)
  return numerics.log_mean_exp(inverse_eta[..., None] * atoms, log_probs)


def _assert_distribution(log_probs: Array, atoms: Array) -> None:
  chex.assert_rank(atoms, 1)
  chex.assert_type([log_probs, atoms], float)
  chex.assert_axis_dimension(log_probs, -1, atoms.shape[0])


def _probs(log_probs: Array) -> Array:
  return jnp.exp(log_probs.astype(jnp.float32))
