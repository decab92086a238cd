"""Losses on preference pairs: of policies, and of reward models.

A batch [B] of pairs, or one pair of scalars.

`eta` is the KL weight in reward units, as everywhere; the papers on DPO call it
beta, the one on CPL alpha.
"""

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array, ArrayLike


def dpo(
  chosen: Array,
  rejected: Array,
  ref_chosen: Array,
  ref_rejected: Array,
  *,
  eta: ArrayLike = 0.1,
) -> Array:
  """Direct preference optimisation: the log-ratio is the reward.

  Args:
    chosen: log-probabilities of the preferred sequences under the policy,
      summed over tokens. Shape [B].
    rejected: those of the others. Shape [B].
    ref_chosen: the preferred ones under the reference. Shape [B].
    ref_rejected: the others under the reference. Shape [B].
    eta: KL weight, in reward units, > 0.

  Returns:
    Nats, >= 0, float32; ln 2 where policy and reference agree. Shape [B].

  Source: arXiv 2305.18290, Eq. (7).
  """
  chex.assert_rank([chosen, rejected, ref_chosen, ref_rejected], {0, 1})
  chex.assert_type([chosen, rejected, ref_chosen, ref_rejected], float)
  chex.assert_equal_shape([chosen, rejected, ref_chosen, ref_rejected])
  margin = (chosen - ref_chosen) - (rejected - ref_rejected)
  return jax.nn.softplus(-(eta * margin.astype(jnp.float32)))


def rpo(
  chosen: Array,
  rejected: Array,
  ref_chosen: Array,
  ref_rejected: Array,
  num_tokens: Array,
  *,
  eta: ArrayLike = 0.1,
  alpha: ArrayLike = 1.0,
) -> Array:
  """DPO, plus the likelihood of the preferred sequence, per token.

  DPO lowers the likelihood of both sequences as long as that of the rejected
  one falls faster; the second term keeps the preferred one likely.

  Args:
    chosen: as in `dpo`, and the next three too. Shape [B].
    rejected: Shape [B].
    ref_chosen: Shape [B].
    ref_rejected: Shape [B].
    num_tokens: tokens of the preferred sequences. Shape [B].
    eta: KL weight, in reward units, > 0.
    alpha: weight of the likelihood; 0 is DPO.

  Returns:
    Nats, float32. Shape [B].

  Source: arXiv 2404.19733, Eq. (1).
  """
  chex.assert_rank([chosen, num_tokens], {0, 1})
  chex.assert_equal_shape([chosen, num_tokens])
  loss = dpo(chosen, rejected, ref_chosen, ref_rejected, eta=eta)
  return loss - alpha * chosen / jnp.maximum(num_tokens, 1)


def cpl(
  chosen: Array,
  rejected: Array,
  *,
  eta: ArrayLike = 0.1,
  bias: ArrayLike = 0.5,
) -> Array:
  """Contrastive preference learning: the log-probability is the advantage.

  Under maximum entropy eta ln pi is the optimal advantage, so that preferences
  by regret are a contest of log-probabilities; no reference is asked.

  Args:
    chosen: log-probabilities of the preferred sequences, summed over tokens,
      discounted or not. Shape [B].
    rejected: those of the others. Shape [B].
    eta: weight of the entropy, in reward units, > 0.
    bias: factor in (0, 1] on the rejected log-probability: below 1, of two
      policies that order the pair alike, the one that gives both sequences more
      mass has the lower loss.

  Returns:
    Nats, >= 0, float32. Shape [B].

  Source: arXiv 2310.13639, the loss of CPL with its conservative bias.
  """
  chex.assert_rank([chosen, rejected], {0, 1})
  chex.assert_type([chosen, rejected], float)
  chex.assert_equal_shape([chosen, rejected])
  margin = chosen.astype(jnp.float32) - bias * rejected
  return jax.nn.softplus(-(eta * margin))


def bradley_terry(
  chosen: Array,
  rejected: Array,
  margin: ArrayLike = 0.0,
  *,
  centring: ArrayLike = 0.0,
) -> Array:
  """Likelihood of a preference where rewards are utilities of a contest.

  Args:
    chosen: rewards of the preferred sequences. Shape [B].
    rejected: those of the others. Shape [B].
    margin: by how much the preferred rewards are to be higher, in reward units,
      >= 0. Shape [B], or one for all.
    centring: weight of (chosen + rejected)^2, which only says where rewards
      have their zero; TRL advises 0.01.

  Returns:
    Nats, >= 0, float32; ln 2 where the rewards of a pair are 0. Shape [B].

  Source: Bradley and Terry (1952); the margin of arXiv 2307.09288, Eq. (2); the
  centring of arXiv 2312.09244, section 4.
  """
  chex.assert_rank([chosen, rejected], {0, 1})
  chex.assert_type([chosen, rejected], float)
  chex.assert_equal_shape([chosen, rejected])
  chosen, rejected = (x.astype(jnp.float32) for x in (chosen, rejected))
  loss = jax.nn.softplus(-(chosen - rejected - margin))
  return loss + centring * jnp.square(chosen + rejected)
