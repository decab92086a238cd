"""Categorical distributions of the reward-to-go on a support of K atoms."""

from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core import numerics
from qsharp_jax.core.arrays import Array, ArrayLike
from qsharp_jax.core.errors import InputError


class PitBounds(NamedTuple):
  """Where observed values fall in the distributions that forecast them.

  Attributes:
    lower: probability of less than the value, F(y-).
    upper: probability of the value or less, F(y).
  """

  lower: Array
  upper: Array


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
  below, upper = _neighbours(values, atoms)
  num_atoms, upper = atoms.shape[0], upper[..., None]
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


def crps(log_probs: Array, atoms: Array, values: Array) -> Array:
  """Continuous ranked probability score: how far a forecast is from a value.

  The integral of (F(z) - [z >= y])^2 over z, which is exact here, since F is a
  step function; of a sure forecast, the absolute error. It is least, on
  average, for the distribution that the values have.

  Args:
    log_probs: normalised log-probabilities. Shape [..., K].
    atoms: support, increasing. Shape [K].
    values: what was observed, inside the support or not. Shape [...].

  Returns:
    Scores, in reward units, float32, >= 0. Shape [...].

  Source: Gneiting and Raftery (2007), Eq. (20).
  """
  _assert_forecast(log_probs, atoms, values)
  values = values.astype(jnp.float32)
  low, high = atoms[:-1], atoms[1:]
  cdf = jnp.cumsum(_probs(log_probs), axis=-1)[..., :-1]
  low, high = (jnp.broadcast_to(edges, cdf.shape) for edges in (low, high))
  # A step of F lies below the value, above it, or is cut by it.
  cut = jnp.clip(values[..., None], low, high)
  inside = jnp.square(cdf) * (cut - low) + jnp.square(1 - cdf) * (high - cut)
  outside = jnp.abs(values - jnp.clip(values, atoms[0], atoms[-1]))
  return jnp.sum(inside, axis=-1) + outside


def pit(log_probs: Array, atoms: Array, values: Array) -> PitBounds:
  """Bounds of the probability integral transform of observed values.

  Numbers drawn uniformly between the bounds are uniform on [0, 1] if the values
  have the distributions that were forecast. Values between atoms are impossible
  by the forecast: see `projected_pit`.

  Args:
    log_probs: normalised log-probabilities. Shape [..., K].
    atoms: support, increasing. Shape [K].
    values: what was observed; one that differs from an atom by rounding is that
      atom. Shape [...].

  Returns:
    The bounds, float32, in [0, 1]. Each [...].

  Source: Czado, Gneiting and Held (2009), section 2.1.
  """
  _assert_forecast(log_probs, atoms, values)
  probs = _probs(log_probs)
  distance = values.astype(jnp.float32)[..., None] - jnp.broadcast_to(
    atoms, probs.shape
  )
  scale = jnp.maximum(jnp.abs(atoms[0]), jnp.abs(atoms[-1]))
  rounding = 4 * jnp.finfo(jnp.float32).eps * scale

  def mass(chosen):
    return jnp.minimum(jnp.sum(jnp.where(chosen, probs, 0.0), axis=-1), 1.0)

  lower = mass(distance > rounding)
  # Two sums may be rounded in two ways.
  return PitBounds(lower, jnp.maximum(lower, mass(distance >= -rounding)))


def projected_pit(
  log_probs: Array, atoms: Array, values: Array
) -> tuple[PitBounds, Array]:
  """`pit` of what `two_hot` makes of values: of both neighbouring atoms.

  Distributions that are learnt from projected values are those of the projected
  values, and calibrated as such, however far the atoms are from the values.

  Args:
    log_probs: normalised log-probabilities. Shape [..., K].
    atoms: support, increasing. Shape [K], K >= 2.
    values: what was observed; clipped to the support. Shape [...].

  Returns:
    The bounds of both atoms, each [..., 2], and the atoms' weights, which sum
    to 1. Shape [..., 2].
  """
  _assert_forecast(log_probs, atoms, values)
  below, upper = _neighbours(values, atoms)
  bounds = [pit(log_probs, atoms, atoms[below + i]) for i in (0, 1)]
  both = PitBounds(*(jnp.stack(b, -1) for b in zip(*bounds, strict=True)))
  return both, jnp.stack([1 - upper, upper], axis=-1)


def _neighbours(values: ArrayLike, atoms: Array) -> tuple[Array, Array]:
  """Index of the atom below each value, and the weight of that above it."""
  values = jnp.clip(jnp.asarray(values, jnp.float32), atoms[0], atoms[-1])
  below = jnp.searchsorted(atoms, values, side="right") - 1
  below = jnp.clip(below, 0, atoms.shape[0] - 2)
  gap = atoms[below + 1] - atoms[below]
  return below, (values - atoms[below]) / gap


def _assert_forecast(log_probs: Array, atoms: Array, values: Array) -> None:
  _assert_distribution(log_probs, atoms)
  chex.assert_type(values, float)
  chex.assert_shape(values, log_probs.shape[:-1])


def _assert_distribution(log_probs: Array, atoms: Array) -> None:
  chex.assert_rank(atoms, 1)
  chex.assert_type([log_probs, atoms], float)
  chex.assert_axis_dimension(log_probs, -1, atoms.shape[0])


def _probs(log_probs: Array) -> Array:
  return jnp.exp(log_probs.astype(jnp.float32))
