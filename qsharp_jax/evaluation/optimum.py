"""The most that any policy can reach, from the reference's own samples.

For a question whose reference samples have rewards r_1 ... r_n, the greatest
`E[r] - eta KL` of all policies is the soft value at its root,
`eta ln E exp(r / eta)`, and the policy that reaches it weighs each sample by
`exp(r / eta)`: no model is needed to know either. Both are ratios and
logarithms of means, so estimates from n samples are biased; the jackknife takes
the part of the bias that falls like 1 / n away.

Shape letters of this file: Q questions, n samples of each, L values of eta.

Source: arXiv 2502.20548, section 2.2 (the optimal policy and its value at the
root, transitions being deterministic); Efron, The Jackknife, the Bootstrap and
Other Resampling Plans, chapter 2.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qsharp_jax.core.errors import InputError


class Front(NamedTuple):
  """What the optimal policies reach, question by question.

  Attributes:
    kl: KL to the reference, nats. Shape [L, Q].
    reward: mean reward. Shape [L, Q].
    reference: mean reward at KL 0. Shape [Q].
  """

  kl: np.ndarray
  reward: np.ndarray
  reference: np.ndarray


class Band(NamedTuple):
  """The front of all questions together, and its interval.

  Attributes:
    kl: mean KL, nats, rising. Shape [G].
    reward: greatest mean reward at that KL. Shape [G].
    low: lower end of the reward's interval. Shape [G].
    high: upper end. Shape [G].
  """

  kl: np.ndarray
  reward: np.ndarray
  low: np.ndarray
  high: np.ndarray


def optimum(
  rewards: npt.ArrayLike, *, eta: float, is_corrected: bool = True
) -> np.ndarray:
  """Greatest `E[r] - eta KL` of any policy, for each question.

  Args:
    rewards: of the reference's samples. Shape [Q, n].
    eta: KL weight, in reward units, > 0.
    is_corrected: whether the jackknife lowers the bias, which is downwards.

  Returns:
    In reward units, float64. Shape [Q].

  Raises:
    InputError: no table of finite rewards, or an eta that is not above 0.

  Source: arXiv 2502.20548, Eq. (3), at the root.
  """
  values, _ = _moments(_table(rewards), eta)
  return _corrected(values) if is_corrected else values[:, 0]


def front(
  rewards: npt.ArrayLike, etas: Sequence[float], *, is_corrected: bool = True
) -> Front:
  """Reward and KL of the optimal policy at each eta, for each question.

  The optimal policy weighs a sample by exp(r / eta). No policy of its mean KL
  has a greater mean reward.

  Args:
    rewards: of the reference's samples. Shape [Q, n].
    etas: KL weights, in reward units, > 0. L of them.
    is_corrected: whether the jackknife lowers the bias.

  Returns:
    The front.

  Raises:
    InputError: as `optimum`.
  """
  table = _table(rewards)
  finish = _corrected if is_corrected else lambda numbers: numbers[:, 0]
  kls, means = [], []
  for eta in etas:
    values, tilted = _moments(table, eta)
    kls.append(finish((tilted - values) / eta))
    means.append(finish(tilted))
  return Front(np.array(kls), np.array(means), table.mean(axis=1))


def band(
  found: Front,
  *,
  num_points: int = 101,
  num_resamples: int = 500,
  seed: int = 0,
  level: float = 0.95,
) -> Band:
  """The front of the mean over questions, with a bootstrap interval.

  Args:
    found: a front whose etas lie close enough to interpolate between.
    num_points: of the curve, evenly spaced in the root of KL; G.
    num_resamples: redrawn sets of Q questions.
    seed: of the redraws.
    level: share of the redrawn fronts inside, in (0, 1).

  Returns:
    The curve from KL 0 to the greatest mean KL of the front.
  """
  generator = np.random.default_rng(seed)
  size = found.kl.shape[1]
  right = float(np.max(found.kl.mean(axis=1)))
  roots = np.linspace(0.0, np.sqrt(max(right, 0.0)), num_points)
  draws = [
    _at(roots, found, chosen)
    for chosen in generator.integers(size, size=(num_resamples, size))
  ]
  tail = (1 - level) / 2
  low, high = np.quantile(draws, [tail, 1 - tail], axis=0)
  return Band(roots**2, _at(roots, found, range(size)), low, high)


def share(
  objective: float, *, reference_reward: float, optimum: float
) -> float:
  """How much of the possible gain a policy makes: at most 1, if all is exact.

  Args:
    objective: `E[r] - eta KL` of the policy, in reward units.
    reference_reward: mean reward of the reference.
    optimum: mean optimum at the same eta.

  Returns:
    (objective - reference_reward) / (optimum - reference_reward); NaN where
    there is nothing to gain.
  """
  possible = optimum - reference_reward
  if not possible > 0:
    return float("nan")
  return (objective - reference_reward) / possible


def _at(
  roots: np.ndarray, found: Front, questions: npt.ArrayLike
) -> np.ndarray:
  """Mean reward of some questions at roots of their mean KL."""
  questions = np.asarray(questions)
  kl = np.r_[0.0, found.kl[:, questions].mean(axis=1)]
  reward = np.r_[
    found.reference[questions].mean(),
    found.reward[:, questions].mean(axis=1),
  ]
  order = np.argsort(kl)
  root = np.sqrt(np.maximum(kl[order], 0.0))
  return np.interp(roots, root, np.maximum.accumulate(reward[order]))


def _moments(rewards: np.ndarray, eta: float) -> tuple[np.ndarray, np.ndarray]:
  """Soft values and tilted means, of all samples and without each of them.

  Returns:
    eta ln mean exp(r / eta), and the mean of r under weights exp(r / eta). Each
    [Q, 1 + n]: of all samples, then without the first, and so on.
  """
  if not (eta > 0 and np.isfinite(eta)):
    raise InputError(f"optimum: got eta {eta}, expected a finite number > 0")
  num_questions, num_samples = rewards.shape
  value, mean = _moments_of(rewards, eta)
  if num_samples == 1:
    return value[:, None], mean[:, None]
  top = rewards.max(axis=1, keepdims=True)
  below = rewards - top
  weights = np.exp(below / eta)
  is_top = below == 0
  # Differences are exact enough for all but the greatest, which may be nearly
  # the whole sum: what it leaves is summed by itself.
  left = np.where(is_top, 1.0, weights.sum(axis=1, keepdims=True) - weights)
  rest = (weights * below).sum(axis=1, keepdims=True) - weights * below
  kept = np.ones(rewards.shape, bool)
  kept[np.arange(num_questions), rewards.argmax(axis=1)] = False
  others = rewards[kept].reshape(num_questions, num_samples - 1)
  value_left, mean_left = _moments_of(others, eta)
  values = np.where(
    is_top, value_left[:, None], top + eta * np.log(left / (num_samples - 1))
  )
  means = np.where(is_top, mean_left[:, None], top + rest / left)
  return np.c_[value, values], np.c_[mean, means]


def _moments_of(
  rewards: np.ndarray, eta: float
) -> tuple[np.ndarray, np.ndarray]:
  """Soft value and tilted mean of all samples of a row. Two arrays [Q]."""
  top = rewards.max(axis=1, keepdims=True)
  weights = np.exp((rewards - top) / eta)
  mean = (weights * (rewards - top)).sum(axis=1) / weights.sum(axis=1)
  return top[:, 0] + eta * np.log(weights.mean(axis=1)), top[:, 0] + mean


def _corrected(numbers: np.ndarray) -> np.ndarray:
  """The jackknife's estimate from [Q, 1 + n]; one sample is left as it is."""
  num_samples = numbers.shape[1] - 1
  if not num_samples:
    return numbers[:, 0]
  left_out = numbers[:, 1:].mean(axis=1)
  return num_samples * numbers[:, 0] - (num_samples - 1) * left_out


def _table(rewards: npt.ArrayLike) -> np.ndarray:
  table = np.asarray(rewards, np.float64)
  if table.ndim != 2 or not table.size or not np.isfinite(table).all():
    raise InputError(
      f"optimum: got rewards of shape {table.shape}, "
      f"{int((~np.isfinite(table)).sum())} of them not finite; expected finite "
      "numbers of shape [questions, samples]"
    )
  return table
