"""Log-weights that guidance adds to the reference's log-probabilities.

Every function maps the values of A candidate tokens to log-weights [..., A].
A token that is not a candidate has log-weight 0: count rewards from the least
one, or apply `zero_floor`, so that it is not preferred to candidates of
negative value. Everywhere `eta` > 0 is the KL weight in reward units, one
number or [..., 1]; eta = inf gives weights of exactly 0, which switches
guidance off.
"""

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core import numerics
from qsharp_jax.core.arrays import Array, ArrayLike
from qsharp_jax.ops import distributions


def qsharp_bernoulli(logits: Array, *, eta: ArrayLike) -> Array:
  """Q# for rewards in {0, 1}: ln(1 - p + p exp(1 / eta)).

  Args:
    logits: log-odds of success after each candidate. Shape [..., A].
    eta: KL weight, in reward units. Scalar or [..., 1].

  Returns:
    Log-weights in [0, 1 / eta], float32: what tells candidates apart is right
    to about 1e-7 / eta. Shape [..., A].

  Source: arXiv 2502.20548, the optimal policy for a Bernoulli distribution.
  """
  _assert_scores(logits)
  logits = logits.astype(jnp.float32)
  shifted = logits + 1 / _per_row(eta, logits)
  # The same expression in log-odds, where nothing is exponentiated: exp(1/eta)
  # overflows below eta = 0.0113.
  weights = jax.nn.softplus(shifted) - jax.nn.softplus(logits)
  return jnp.minimum(weights, reward_bound(1.0, eta=_per_row(eta, logits)))


def reward_bound(greatest: ArrayLike, *, eta: ArrayLike) -> Array:
  """What no log-weight for rewards up to `greatest` exceeds.

  It bounds `qsharp_bernoulli`, with 1 as the greatest reward,
  `qsharp_categorical`, `cd` and `args`; and, summed over the rewards, `mixed`.

  Args:
    greatest: the greatest reward, in reward units. Scalar or [...].
    eta: KL weight, in reward units, inf allowed. Scalar or [...].

  Returns:
    The bound, float32. Shape [...].
  """
  bound = jnp.asarray(greatest, jnp.float32) / jnp.asarray(eta, jnp.float32)
  # A compiler may divide by multiplying, and round otherwise.
  return bound + jnp.abs(bound) * 2**-20


def qsharp_categorical(
  log_probs: Array, atoms: Array, *, eta: ArrayLike
) -> Array:
  """Q# for a distribution on atoms z: ln E[exp(z / eta)].

  Args:
    log_probs: log-probabilities of the atoms after each candidate, any
      offset. Shape [..., A, K].
    atoms: support, in reward units. Shape [K].
    eta: KL weight, in reward units. Scalar or [..., 1].

  Returns:
    Log-weights in [min z / eta, max z / eta], float32. Shape [..., A].

  Source: arXiv 2502.20548, the policy induced by a learned distribution.
  """
  chex.assert_rank(atoms, 1)
  chex.assert_type([log_probs, atoms], float)
  chex.assert_axis_dimension_gteq(log_probs, -2, 1)
  eta = _per_row(eta, log_probs[..., 0])
  weights = distributions.log_mean_exp(log_probs, atoms, eta=eta)
  return jnp.minimum(weights, reward_bound(jnp.max(atoms), eta=eta))


def cd(values: Array, *, eta: ArrayLike) -> Array:
  """Controlled decoding: the mean over eta.

  Args:
    values: expected rewards after each candidate. Shape [..., A].
    eta: KL weight, in reward units. Scalar or [..., 1].

  Returns:
    Log-weights, float32. Shape [..., A].

  Source: arXiv 2310.17022.
  """
  _assert_scores(values)
  return values.astype(jnp.float32) / _per_row(eta, values)


def vas(values: Array, *, eta: ArrayLike) -> Array:
  """Value-augmented sampling: the mean over eta, centred on the candidates.

  The centring has no effect inside a softmax over the candidates alone. It has
  one where other tokens keep weight 0: candidates below average then lose to
  them.

  Args:
    values: expected rewards after each candidate. Shape [..., A].
    eta: KL weight, in reward units. Scalar or [..., 1].

  Returns:
    Log-weights of mean 0, float32. Shape [..., A].

  Source: arXiv 2405.06639.
  """
  _assert_scores(values)
  values = values.astype(jnp.float32)
  return cd(values - jnp.mean(values, axis=-1, keepdims=True), eta=eta)


def fudge(logits: Array, *, strength: ArrayLike) -> Array:
  """FUDGE: the log-probability of success, times a strength.

  With strength 1 it conditions the reference on success, which is the limit of
  Q# as eta -> 0.

  Args:
    logits: log-odds of success after each candidate. Shape [..., A].
    strength: factor, >= 0; 0 switches guidance off. Scalar or [..., 1].

  Returns:
    Log-weights <= 0, float32. Shape [..., A]. A token without a candidate's
    score would outweigh them all: filter such tokens, or apply `zero_floor`.

  Source: arXiv 2104.05218.
  """
  _assert_scores(logits)
  log_success = jax.nn.log_sigmoid(logits.astype(jnp.float32))
  return _per_row(strength, logits) * log_success


def fudge_bound(*, strength: ArrayLike) -> Array:
  """What no log-weight of `fudge` exceeds: success is sure at best.

  Args:
    strength: factor, >= 0. Scalar or [...].

  Returns:
    Zeros, float32. Shape [...].
  """
  return jnp.zeros_like(jnp.asarray(strength, jnp.float32))


def args(rewards: Array, *, strength: ArrayLike) -> Array:
  """ARGS: a trajectory reward read on prefixes, times a strength.

  Args:
    rewards: what a reward model of whole answers says of each prefix that a
      candidate makes. Shape [..., A].
    strength: factor w, per unit of reward, >= 0. Scalar or [..., 1].

  Returns:
    Log-weights, float32. Shape [..., A].

  Source: arXiv 2402.01694.
  """
  _assert_scores(rewards)
  return _per_row(strength, rewards) * rewards.astype(jnp.float32)


def log_ratio(ratios: Array, *, strength: ArrayLike) -> Array:
  """A tuned model's log-ratio to what it was tuned from, times a strength.

  With strength 1, and the untuned model as the reference, the guided policy is
  the tuned model.

  Args:
    ratios: ln(tuned / untuned) of each candidate. Shape [..., A].
    strength: factor, >= 0; beta / eta for a model tuned at KL weight beta.
      Scalar or [..., 1].

  Returns:
    Log-weights, float32. Shape [..., A].

  Source: arXiv 2404.12358 ("From r to Q*").
  """
  _assert_scores(ratios)
  return _per_row(strength, ratios) * ratios.astype(jnp.float32)


def transfer_direct(rewards: Array, *, eta: ArrayLike) -> Array:
  """Transfer Q*, direct: the mean reward of roll-outs of an aligned model.

  Args:
    rewards: of N roll-outs from each candidate. Shape [..., A, N].
    eta: KL weight, in reward units. Scalar or [..., 1].

  Returns:
    Log-weights, float32. Shape [..., A].

  Source: arXiv 2405.20495, direct transfer.
  """
  chex.assert_type(rewards, float)
  chex.assert_axis_dimension_gteq(rewards, -2, 1)
  return cd(jnp.mean(rewards.astype(jnp.float32), axis=-1), eta=eta)


def transfer_indirect(
  rewards: Array,
  baseline_rewards: Array,
  *,
  eta: ArrayLike,
  beta: float,
) -> Array:
  """Transfer Q*, indirect: the baseline was aligned to another reward.

  Roll-outs are re-weighted by exp((r - r_BL) / beta), self-normalised, as if a
  model aligned to r had made them.

  Args:
    rewards: r of N roll-outs from each candidate. Shape [..., A, N].
    baseline_rewards: r_BL of the same. Shape [..., A, N].
    eta: KL weight, in reward units. Scalar or [..., 1].
    beta: KL weight at which the baseline was aligned, in reward units.

  Returns:
    Log-weights, float32. Shape [..., A]. Those of `transfer_direct` where both
    rewards agree.

  Source: arXiv 2405.20495, indirect transfer.
  """
  chex.assert_type([rewards, baseline_rewards], float)
  chex.assert_equal_shape([rewards, baseline_rewards])
  rewards = rewards.astype(jnp.float32)
  shares = jax.nn.softmax((rewards - baseline_rewards) / beta, axis=-1)
  return cd(jnp.sum(shares * rewards, axis=-1), eta=eta)


def mixed(weights: list[Array]) -> Array:
  """Guidance by a sum of rewards, from the log-weights for each of them.

  With rewards w_1 r_1 + w_2 r_2 pass log-weights for r_i at KL weight
  eta / w_i. Exact for means; for Q# if the rewards are independent given the
  prefix.

  Args:
    weights: log-weights for each reward. Shapes [..., A].

  Returns:
    Log-weights. Shape [..., A].
  """
  chex.assert_type(weights, float)
  chex.assert_equal_shape(weights)
  return sum(weights[1:], start=weights[0])


def zero_floor(weights: Array) -> Array:
  """Shifts the log-weights so that the least candidate has weight 0.

  An unscored token, whose weight is 0, then counts as the worst candidate
  instead of being preferred to candidates of negative weight.

  Args:
    weights: log-weights. Shape [..., A].

  Returns:
    Log-weights >= 0. Shape [..., A].
  """
  _assert_scores(weights)
  return weights - jnp.min(weights, axis=-1, keepdims=True)


def _assert_scores(scores: Array) -> None:
  """Checks floats with an axis of candidates, [..., A]."""
  chex.assert_type(scores, float)
  chex.assert_axis_dimension_gteq(scores, -1, 1)


def _per_row(parameter: ArrayLike, weights: Array) -> Array:
  return numerics.per_row(parameter, (*weights.shape[:-1], 1))
