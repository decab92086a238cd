"""KL-regularised policies: how they follow from values, and what they cost.

The objective is E_pi[R] - eta KL(pi || pi_ref), with `eta` > 0 the KL weight in
reward units: small eta means strong guidance.
"""

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core import numerics
from qsharp_jax.core.arrays import Array, ArrayLike


def tilted_log_probs(ref_logits: Array, log_weights: Array) -> Array:
  """Log-probabilities of the re-weighted reference, pi ∝ pi_ref exp(w).

  Args:
    ref_logits: reference logits, any offset, not all -inf. Shape [..., V].
    log_weights: log-weights w; -inf excludes a token, one at least is left.
      Shape [..., V].

  Returns:
    Normalised log-probabilities, float32. Shape [..., V]. -inf stays -inf.
  """
  chex.assert_type([ref_logits, log_weights], float)
  chex.assert_equal_shape([ref_logits, log_weights])
  return jax.nn.log_softmax(ref_logits.astype(jnp.float32) + log_weights)


def optimal_log_probs(
  ref_logits: Array, q_values: Array, *, eta: ArrayLike
) -> Array:
  """Log-probabilities of the optimal policy, pi* ∝ pi_ref exp(Q* / eta).

  Args:
    ref_logits: reference logits, any offset, not all -inf. Shape [..., V].
    q_values: soft action values Q*, in reward units. Shape [..., V].
    eta: KL weight, in reward units; inf gives the reference. Scalar or
      [..., 1].

  Returns:
    Normalised log-probabilities, float32. Shape [..., V]. -inf stays -inf.

  Source: arXiv 2502.20548, the optimal policy.
  """
  chex.assert_type([ref_logits, q_values], float)
  chex.assert_equal_shape([ref_logits, q_values])
  eta = numerics.per_row(eta, (*q_values.shape[:-1], 1))
  return tilted_log_probs(ref_logits, q_values / eta)


def soft_value(ref_logits: Array, q_values: Array, *, eta: ArrayLike) -> Array:
  """Value of the optimal policy, V* = eta ln E_ref[exp(Q* / eta)].

  It equals E_pi*[Q*] - eta KL(pi* || pi_ref), lies between the reference's
  mean of Q* and its maximum, and grows as eta falls.

  Args:
    ref_logits: reference logits, any offset, not all -inf. Shape [..., V].
    q_values: soft action values Q*, in reward units. Shape [..., V].
    eta: KL weight, in reward units, finite. Scalar or [..., 1].

  Returns:
    Values, in reward units, float32. Shape [...].

  Source: arXiv 2502.20548, the soft Bellman equation.
  """
  chex.assert_type([ref_logits, q_values], float)
  chex.assert_equal_shape([ref_logits, q_values])
  eta = numerics.per_row(eta, (*q_values.shape[:-1], 1))
  return eta[..., 0] * numerics.log_mean_exp(q_values / eta, ref_logits)


def kl_divergence(log_p: Array, log_q: Array) -> Array:
  """KL(p || q) over the whole last axis, exact, in nats.

  Args:
    log_p: normalised log-probabilities; -inf is p = 0. Shape [..., V].
    log_q: normalised log-probabilities; -inf is q = 0. Shape [..., V].

  Returns:
    Nats, float32. Shape [...]. inf where some token has q = 0 < p.
  """
  chex.assert_type([log_p, log_q], float)
  chex.assert_equal_shape([log_p, log_q])
  log_p, log_q = log_p.astype(jnp.float32), log_q.astype(jnp.float32)
  probs = jnp.exp(log_p)
  # Replace before the product: 0 * (-inf - x) is NaN, also in the gradient.
  log_ratio = jnp.where(probs > 0, log_p, 0) - jnp.where(probs > 0, log_q, 0)
  # Rounding may leave a divergence of equal distributions just below 0.
  return jnp.maximum(jnp.sum(probs * log_ratio, axis=-1), 0)


def kl_floor(p: ArrayLike, q: ArrayLike) -> Array:
  """Binary relative entropy d(p || q): the least KL that success can cost.

  A policy that succeeds with probability p, where the reference succeeds with
  q, has a KL of at least d(p || q), whatever it does. The reference
  conditioned on success (p = 1) attains ln(1 / q).

  Args:
    p: success probabilities of the policy, in [0, 1]. Shape [...].
    q: success probabilities of the reference. Broadcasts against `p`.

  Returns:
    Nats, float32. Shape [...]. inf where p allows what q excludes.

  Source: the data-processing inequality.
  """
  p, q = jnp.asarray(p, jnp.float32), jnp.asarray(q, jnp.float32)
  relative_entropy = jax.scipy.special.rel_entr
  return relative_entropy(p, q) + relative_entropy(1 - p, 1 - q)


def at_tokens(
  weights: Array,
  candidates: Array,
  vocab_size: int,
  *,
  other: ArrayLike = 0.0,
) -> Array:
  """Places the candidates' log-weights in the vocabulary.

  Args:
    weights: log-weights. Shape [..., A].
    candidates: distinct token of each weight; one that is >= `vocab_size` is
      dropped. Shape [..., A], integer.
    vocab_size: V.
    other: log-weight of every other token. Scalar or [...].

  Returns:
    Log-weights. Shape [..., V].
  """
  chex.assert_type([weights, candidates], [float, int])
  chex.assert_equal_shape([weights, candidates])
  other = numerics.per_row(other, weights.shape[:-1]).astype(weights.dtype)
  others = jnp.broadcast_to(other[..., None], (*other.shape, vocab_size))
  return jnp.put_along_axis(
    others, candidates, weights, axis=-1, inplace=False, mode="drop"
  )
