"""What policies are trained on: token rewards, baselines, advantages.

All of it is data: no gradient is meant to flow through. `eta` is the KL weight
in reward units.
"""

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core import numerics
from qsharp_jax.core.arrays import Array, ArrayLike


def penalised(
  rewards: Array, log_probs: Array, ref_log_probs: Array, *, eta: ArrayLike
) -> Array:
  """Token rewards, less what straying from the reference costs.

  Args:
    rewards: reward of each token. Shape [...].
    log_probs: of the policy that sampled the tokens. Shape [...].
    ref_log_probs: of the reference. Shape [...].
    eta: KL weight, in reward units, >= 0.

  Returns:
    Rewards whose expected sum is the KL-regularised objective, float32. Shape
    [...].

  Source: arXiv 2203.02155, Eq. (2); token by token as in arXiv 1909.08593.
  """
  chex.assert_type([rewards, log_probs, ref_log_probs], float)
  chex.assert_equal_shape([rewards, log_probs, ref_log_probs])
  return rewards - eta * (log_probs - ref_log_probs).astype(jnp.float32)


def rto(
  rewards: Array,
  dpo_log_probs: Array,
  ref_log_probs: Array,
  *,
  dpo_eta: ArrayLike = 0.1,
  weight: ArrayLike = 1.0,
) -> Array:
  """Token rewards of reinforced token optimisation, before the KL penalty.

  What a DPO policy says of a token, relative to the reference, is a dense
  reward; the reward of the whole sequence is added to its last token.

  Args:
    rewards: the sequence's reward at its last token, 0 elsewhere. Shape [...].
    dpo_log_probs: of the tokens under the DPO policy. Shape [...].
    ref_log_probs: under the reference. Shape [...].
    dpo_eta: the eta that the DPO policy was trained with (beta_1 there).
    weight: of the sequence's reward (beta_3 there); the penalty, beta_2, is
      `penalised`.

  Returns:
    Rewards, float32. Shape [...].

  Source: arXiv 2404.18922, the practical version of its algorithm.
  """
  chex.assert_type([rewards, dpo_log_probs, ref_log_probs], float)
  chex.assert_equal_shape([rewards, dpo_log_probs, ref_log_probs])
  log_ratio = (dpo_log_probs - ref_log_probs).astype(jnp.float32)
  return log_ratio * dpo_eta + rewards * weight


def leave_one_out(rewards: Array, mask: Array) -> Array:
  """Reward minus the mean reward of the other samples of the same prompt.

  Args:
    rewards: of each sample. Shape [B, S].
    mask: which samples have a reward. Shape [B, S], bool.

  Returns:
    Advantages, float32; 0 outside the mask and for a sample without others.
    Shape [B, S].

  Source: arXiv 2402.14740 (RLOO).
  """
  chex.assert_rank([rewards, mask], 2)
  chex.assert_type([rewards, mask], [float, bool])
  chex.assert_equal_shape([rewards, mask])
  found = jnp.where(mask, rewards.astype(jnp.float32), 0.0)
  num_others = jnp.sum(mask, axis=1, keepdims=True).astype(jnp.float32) - 1
  others = jnp.sum(found, axis=1, keepdims=True) - found
  advantages = found - others / jnp.maximum(num_others, 1)
  return jnp.where(mask & (num_others > 0), advantages, 0.0)


def batch_baseline(rewards: Array, mask: Array) -> Array:
  """Reward minus the mean reward of the whole batch.

  Args:
    rewards: Shape [...].
    mask: which of them count. Shape [...], bool.

  Returns:
    Advantages, float32; 0 outside the mask. Shape [...].

  Source: Williams 1992 (REINFORCE, its reinforcement baseline).
  """
  chex.assert_type([rewards, mask], [float, bool])
  chex.assert_equal_shape([rewards, mask])
  baseline = numerics.masked_mean(rewards, mask)
  return jnp.where(mask, rewards.astype(jnp.float32) - baseline, 0.0)


def group_relative(
  rewards: Array, mask: Array, *, is_scaled: bool = True
) -> Array:
  """Reward minus the mean of the prompt's samples, in their deviations.

  Neither a factor of all rewards nor a constant added to them changes the
  scaled advantages. Samples whose rewards are all equal have advantage 0.

  Args:
    rewards: of each sample. Shape [B, S].
    mask: which samples have a reward. Shape [B, S], bool.
    is_scaled: whether the difference is divided by the standard deviation (that
      of a sample, n - 1); False is what Dr. GRPO does.

  Returns:
    Advantages, float32; 0 outside the mask. Shape [B, S].

  Source: arXiv 2402.03300, section 4.1.2 (GRPO); arXiv 2503.20783 (Dr. GRPO).
  """
  chex.assert_rank([rewards, mask], 2)
  chex.assert_type([rewards, mask], [float, bool])
  chex.assert_equal_shape([rewards, mask])
  # From the least reward: what equal rewards leave of a rounded mean must not
  # be blown up by a deviation of 0.
  least = jnp.min(jnp.where(mask, rewards, jnp.inf), axis=1, keepdims=True)
  above = jnp.where(mask, rewards - least, 0.0).astype(jnp.float32)
  mean = numerics.masked_mean(above, mask, axis=1)[:, None]
  centred = jnp.where(mask, above - mean, 0.0)
  if not is_scaled:
    return centred
  freedom = jnp.sum(mask, axis=1, keepdims=True).astype(jnp.float32) - 1
  squares = jnp.sum(jnp.square(centred), axis=1, keepdims=True)
  deviation = jnp.sqrt(squares / jnp.maximum(freedom, 1))
  return centred / jnp.where(deviation > 0, deviation, 1.0)


def whiten(advantages: Array, mask: Array) -> Array:
  """Advantages with mean 0 and deviation 1 over the mask; 0 outside it.

  Args:
    advantages: on any scale; equal ones become 0. Shape [...].
    mask: which of them count. Shape [...], bool.

  Returns:
    Whitened advantages, float32. Shape [...].
  """
  chex.assert_type([advantages, mask], [float, bool])
  chex.assert_equal_shape([advantages, mask])
  centred = batch_baseline(advantages, mask)
  variance = numerics.masked_mean(jnp.square(centred), mask)
  # What rounding leaves of equal advantages is no deviation, on any scale.
  size = jnp.max(jnp.where(mask, jnp.abs(advantages), 0.0))
  deviation = jnp.sqrt(variance + jnp.square(1e-4 * size.astype(jnp.float32)))
  return centred / jnp.where(deviation > 0, deviation, 1.0)


def gae(
  rewards: Array,
  values: Array,
  is_last: Array,
  *,
  discount: float = 1.0,
  decay: float = 0.95,
) -> Array:
  """Generalised advantage estimates along the tokens of packed sequences.

  Args:
    rewards: for each token. Shape [B, T].
    values: of the state in which each token was chosen. Shape [B, T].
    is_last: whether a sequence ends in the token. Shape [B, T], bool.
    discount: gamma.
    decay: lambda; 1 is return minus value, 0 the one-step error.

  Returns:
    Advantages, float32. Shape [B, T]. What stands before a sequence's own
    tokens, such as its prompt, gets a number without a meaning.

  Source: arXiv 1506.02438, Eq. (16).
  """
  chex.assert_rank([rewards, values, is_last], 2)
  chex.assert_type([rewards, values, is_last], [float, float, bool])
  chex.assert_equal_shape([rewards, values, is_last])
  goes_on = jnp.where(is_last, 0.0, 1.0)
  next_values = jnp.pad(values[:, 1:], ((0, 0), (0, 1)))
  errors = rewards + discount * goes_on * next_values - values

  def step(later: Array, now: tuple[Array, Array]) -> tuple[Array, Array]:
    error, rate = now
    advantage = error + discount * decay * rate * later
    return advantage, advantage

  start = jnp.zeros(len(rewards), jnp.float32)
  _, advantages = jax.lax.scan(step, start, (errors.T, goes_on.T), reverse=True)
  return advantages.T


def soft_value(rewards: Array, mask: Array, *, eta: ArrayLike) -> Array:
  """Optimal value of a prompt, estimated from samples of the reference.

  Args:
    rewards: of the samples. Shape [..., S].
    mask: which of them have a reward; one at least. Shape [..., S], bool.
    eta: KL weight, in reward units, > 0.

  Returns:
    eta ln mean exp(reward / eta), float32. Shape [...].

  Source: arXiv 2505.20686, stage 1; arXiv 2502.20548, the closed form of V*.
  """
  chex.assert_type([rewards, mask], [float, bool])
  chex.assert_equal_shape([rewards, mask])
  log_mass = jnp.where(mask, 0.0, -jnp.inf)
  exponents = jnp.where(mask, rewards, 0.0) / eta
  return numerics.log_mean_exp(exponents, log_mass) * eta
