"""From logits to a token: temperature, top-k, top-p, sampling.

Temperature and top-p are traced and may differ per row, so that one compiled
program serves all of their values.
"""

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core import numerics
from qsharp_jax.core.arrays import Array, ArrayLike


def apply_temperature(logits: Array, temperature: ArrayLike) -> Array:
  """Divides the logits by the temperature; 0 is the limit, the argmax.

  Args:
    logits: logits, any offset, not all -inf. Shape [B, V].
    temperature: >= 0. Scalar or [B].

  Returns:
    Logits whose maximum is 0, float32. Shape [B, V]. -inf stays -inf. At
    temperature 0 all but the greatest are -inf (equal ones share).
  """
  chex.assert_rank(logits, 2)
  chex.assert_type(logits, float)
  temperature = numerics.per_row(temperature, logits.shape[:1])[:, None]
  logits = logits.astype(jnp.float32)
  # Shifted first: 80 / 1e-38 overflows, and inf - inf is NaN in a softmax.
  logits = logits - jnp.max(logits, axis=-1, keepdims=True)
  warm = logits / jnp.where(temperature > 0, temperature, 1)
  frozen = jnp.where(logits < 0, -jnp.inf, 0)
  return jnp.where(temperature > 0, warm, frozen)


def top_k(log_probs: Array, *, k: int) -> Array:
  """Keeps exactly the k most probable tokens.

  They are the tokens that `jax.lax.top_k` names (of equal ones, the first), so
  the kept set is the set of candidates chosen in that way.

  Args:
    log_probs: log-probabilities. Shape [..., V].
    k: number of tokens kept, from 1 to V.

  Returns:
    Normalised log-probabilities, float32. Shape [..., V]. -inf if dropped.
  """
  chex.assert_type(log_probs, float)
  chex.assert_axis_dimension_gteq(log_probs, -1, k)
  _, kept = jax.lax.top_k(log_probs, k)
  nowhere = jnp.zeros(log_probs.shape, bool)
  is_kept = jnp.put_along_axis(nowhere, kept, True, axis=-1, inplace=False)
  return _renormalise(log_probs, is_kept)


def top_p(log_probs: Array, top_p: ArrayLike) -> Array:
  """Keeps the smallest set of tokens whose mass reaches `top_p`.

  No vocabulary is sorted. The set is "all tokens at least as probable as a
  threshold", and the threshold is bisected.

  Args:
    log_probs: normalised log-probabilities. Shape [B, V].
    top_p: mass to reach. Scalar or [B]. 1 or more keeps the row as it is; 0
      keeps the most probable token.

  Returns:
    Normalised log-probabilities, float32. Shape [B, V]. -inf if dropped.
    Tokens as probable as the last one kept are kept too.

  Source: arXiv 1904.09751 (nucleus sampling).
  """
  chex.assert_rank(log_probs, 2)
  chex.assert_type(log_probs, float)
  log_probs = log_probs.astype(jnp.float32)
  mass = numerics.per_row(top_p, log_probs.shape[:1])
  # Not left to the bisection: 150,000 rounded terms may miss a mass of 1, or
  # reach it before the tail.
  is_whole = mass >= 1

  def cut(log_probs: Array) -> Array:
    probs = jnp.exp(log_probs)
    is_kept = probs >= _threshold(probs, mass)[:, None]
    kept = _renormalise(log_probs, is_kept)
    return jnp.where(is_whole[:, None], log_probs, kept)

  return jax.lax.cond(is_whole.all(), lambda x: x, cut, log_probs)


def sample(log_probs: Array, uniforms: Array) -> Array:
  """Draws one token per row by inverting the cumulative distribution.

  One uniform per row instead of Gumbel noise per token; a row's token depends
  on nothing but its own distribution and number.

  Args:
    log_probs: log-probabilities, any offset <= 0, some finite. Shape [B, V].
    uniforms: numbers in [0, 1]. Shape [B].

  Returns:
    Tokens, never one of probability 0. Shape [B], int32.
  """
  chex.assert_rank([log_probs, uniforms], [2, 1])
  chex.assert_type([log_probs, uniforms], float)
  chex.assert_equal_shape_prefix([log_probs, uniforms], 1)
  probs = jnp.exp(log_probs.astype(jnp.float32))
  # A parallel prefix sum may rise at a token of probability 0, or end below
  # its maximum: such tokens are set to 0, and the maximum is the total.
  cumulative = jnp.where(probs > 0, jnp.cumsum(probs, axis=-1), 0)
  total = jnp.max(cumulative, axis=-1)
  # A 64-bit number just below 1 becomes 1 in 32 bits, beyond every token.
  uniforms = jnp.minimum(uniforms.astype(jnp.float32), 1 - 2**-24)
  is_beyond = cumulative > (uniforms * total)[:, None]
  tokens = jax.lax.broadcasted_iota(jnp.int32, probs.shape, 1)
  # The least index, as argmax would find, in a reduction that vectorises.
  return jnp.min(jnp.where(is_beyond, tokens, probs.shape[-1] - 1), axis=-1)


def gumbels_below(log_probs: Array, noise: Array, greatest: ArrayLike) -> Array:
  """Perturbed log-probabilities of tokens that lost to another one.

  ln p + Gumbel noise, given that none exceeds `greatest`. A draw of `sample`
  then stands for the argmax over the vocabulary, and only those tokens need
  noise that are looked at.

  Args:
    log_probs: ln p of the tokens; -inf stays -inf. Shape [B, A].
    noise: independent standard Gumbel numbers. Shape [B, A].
    greatest: the perturbed log-probability of the token that won, itself a
      standard Gumbel number. Scalar or [B, 1].

  Returns:
    Numbers <= `greatest`, float32. Shape [B, A].

  Source: arXiv 1411.0030 (A* sampling), the top-down construction.
  """
  chex.assert_rank([log_probs, noise], 2)
  chex.assert_type([log_probs, noise], float)
  chex.assert_equal_shape([log_probs, noise])
  greatest = numerics.per_row(greatest, (len(log_probs), 1))
  perturbed = log_probs.astype(jnp.float32) + noise.astype(jnp.float32)
  return -jnp.logaddexp(-greatest, -perturbed)


def _threshold(probs: Array, mass: Array) -> Array:
  """Greatest of the probabilities [B, V] above which `mass` [B] is reached.

  Non-negative floats are ordered as their bit patterns are, and those of
  [0, 1] are fewer than 2^30: halving the *patterns* 30 times leaves one, the
  exact threshold, however small the probabilities are.
  """

  def halve(_: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
    low, high = bounds
    middle = low + (high - low) // 2
    threshold = jax.lax.bitcast_convert_type(middle, jnp.float32)[:, None]
    above = jnp.sum(jnp.where(probs >= threshold, probs, 0), axis=-1)
    is_enough = above >= mass
    return jnp.where(is_enough, middle, low), jnp.where(is_enough, high, middle)

  greatest = jax.lax.bitcast_convert_type(jnp.max(probs, axis=-1), jnp.int32)
  bounds = (jnp.zeros_like(greatest), greatest + 1)
  low, _ = jax.lax.fori_loop(0, 30, halve, bounds)
  return jax.lax.bitcast_convert_type(low, jnp.float32)


def _renormalise(log_probs: Array, is_kept: Array) -> Array:
  log_probs = log_probs.astype(jnp.float32)
  return jax.nn.log_softmax(jnp.where(is_kept, log_probs, -jnp.inf))
