"""Losses of policy gradients and their relatives.

Advantages, returns, old log-probabilities and targets are data: the losses send
no gradient through them. `eta` is the KL weight in reward units.
"""

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array, ArrayLike


def reinforce(log_probs: Array, advantages: Array) -> Array:
  """Score-function loss of each token.

  Args:
    log_probs: of the tokens that were sampled, under the policy. Shape [...].
    advantages: of their sequences. Shape [...].

  Returns:
    -advantage ln pi, float32: summed over the tokens of a sequence and averaged
    over sequences, its gradient is that of the expected reward, negated. Shape
    [...].

  Source: Williams 1992 (REINFORCE).
  """
  chex.assert_type([log_probs, advantages], float)
  chex.assert_equal_shape([log_probs, advantages])
  return -jax.lax.stop_gradient(advantages) * log_probs.astype(jnp.float32)


def ppo(
  log_probs: Array,
  old_log_probs: Array,
  advantages: Array,
  *,
  clip: float = 0.2,
) -> Array:
  """Clipped surrogate loss of each token.

  Args:
    log_probs: under the policy. Shape [...].
    old_log_probs: under the policy that sampled. Shape [...].
    advantages: Shape [...].
    clip: how far the ratio of both may go from 1 and still be rewarded.

  Returns:
    Loss, float32. Shape [...].

  Source: arXiv 1707.06347, Eq. (7).
  """
  chex.assert_type([log_probs, old_log_probs, advantages], float)
  chex.assert_equal_shape([log_probs, old_log_probs, advantages])
  ratio = jnp.exp(log_probs.astype(jnp.float32) - old_log_probs)
  clipped = jnp.clip(ratio, 1 - clip, 1 + clip)
  return -jnp.minimum(ratio * advantages, clipped * advantages)


def k3(log_probs: Array, ref_log_probs: Array) -> Array:
  """Estimate of the KL to the reference from a token that the policy drew.

  Its mean over the policy's tokens is the KL. As a loss it is not quite the KL:
  the tokens are data, and its gradient is, on average, that of the KL of the
  reference to the policy.

  Args:
    log_probs: under the policy. Shape [...].
    ref_log_probs: under the reference. Shape [...].

  Returns:
    ratio - 1 - ln ratio of reference to policy, nats, float32. Shape [...].

  Source: arXiv 2402.03300, Eq. (4); Schulman, Approximating KL divergence
  (2020).
  """
  chex.assert_type([log_probs, ref_log_probs], float)
  chex.assert_equal_shape([log_probs, ref_log_probs])
  log_ratio = ref_log_probs - log_probs.astype(jnp.float32)
  return jnp.expm1(log_ratio) - log_ratio


def clipped_value(
  values: Array, old_values: Array, returns: Array, *, clip: float = 0.2
) -> Array:
  """Half the squared error of a value that may move by `clip` at a time.

  Args:
    values: of the critic in training. Shape [...].
    old_values: of the critic that the advantages were made with. Shape [...].
    returns: what the values should be. Shape [...].
    clip: in reward units; inf for the plain squared error.

  Returns:
    Loss, in reward units squared, float32. Shape [...].

  Source: arXiv 2005.12729, section 3 (what implementations of PPO do).
  """
  chex.assert_type([values, old_values, returns], float)
  chex.assert_equal_shape([values, old_values, returns])
  values = values.astype(jnp.float32)
  near = old_values + jnp.clip(values - old_values, -clip, clip)
  plain, clipped = jnp.square(values - returns), jnp.square(near - returns)
  return 0.5 * jnp.maximum(plain, clipped)


def a_star_po(
  log_probs: Array,
  ref_log_probs: Array,
  advantages: Array,
  *,
  eta: ArrayLike = 0.1,
) -> Array:
  """Squared distance between eta ln(pi / pi_ref) and the optimal advantage.

  Args:
    log_probs: of whole sequences under the policy. Shape [...].
    ref_log_probs: under the reference. Shape [...].
    advantages: reward minus the `soft_value` of the prompt. Shape [...].
    eta: KL weight, in reward units, > 0.

  Returns:
    Loss, in reward units squared, float32. Shape [...].

  Source: arXiv 2505.20686, stage 2.
  """
  chex.assert_type([log_probs, ref_log_probs, advantages], float)
  chex.assert_equal_shape([log_probs, ref_log_probs, advantages])
  log_ratio = (log_probs - ref_log_probs).astype(jnp.float32)
  return jnp.square(eta * log_ratio - advantages)
