"""Accuracy of repeated samples, one value per question.

Every function returns an array of shape [Q], a value in [0, 1] per question
(of `best_of_n`, in units of its outcomes): its mean is the metric,
`intervals.bootstrap_mean` its interval. Shape letters of this file: Q
questions, n samples of each.
"""

import collections
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from qsharp_jax.core.errors import InputError


def pass_at_1(correct: npt.ArrayLike) -> np.ndarray:
  """Share of a question's samples that are right.

  Args:
    correct: verdicts. Shape [Q, n].

  Returns:
    float64, shape [Q].

  Raises:
    InputError: not two-dimensional, or no sample.
  """
  return _table(correct, "correct").astype(bool).mean(axis=1)


def pass_at_k(
  num_correct: npt.ArrayLike, num_samples: npt.ArrayLike, k: int
) -> np.ndarray:
  """Unbiased chance that k samples hold a right one, 1 - C(n-c,k) / C(n,k).

  The ratio is taken as a product of k factors in [0, 1], since the binomials
  themselves overflow.

  Args:
    num_correct: right samples c, 0 <= c <= n. Shape [Q].
    num_samples: samples n >= k of each question. Shape [Q] or scalar.
    k: samples drawn without replacement, >= 1.

  Returns:
    float64, shape [Q].

  Raises:
    InputError: k outside 1..n, or c outside 0..n.

  Source: arXiv 2107.03374, Eq. (1).
  """
  right, total = np.broadcast_arrays(num_correct, num_samples)
  if k < 1 or (total < k).any():
    raise InputError(
      f"pass@{k}: got {total.min(initial=k)} samples of a question, expected "
      f"1 <= k <= samples; draw more or lower k"
    )
  if (right < 0).any() or (right > total).any():
    raise InputError(
      "pass@k: got a count of right samples outside 0..num_samples; recount"
    )
  drawn = np.arange(k)
  wrong_left = np.maximum((total - right)[..., None] - drawn, 0)
  return 1.0 - np.prod(wrong_left / (total[..., None] - drawn), axis=-1)


def majority_at_k(
  answers: Sequence[Sequence[str | None]],
  correct: Sequence[Sequence[bool]],
  k: int,
  *,
  weights: Sequence[Sequence[float]] | None = None,
) -> np.ndarray:
  """maj1@k: is the class of answers with most votes among k samples right?

  Samples are taken in consecutive disjoint groups of k and the groups averaged;
  a last group of fewer than k is left out. Empty answers have no vote. A tie
  counts as the mean over the tied classes, the expectation of a random
  tie-break; a class with both verdicts counts as its share of right ones. A
  group without any answer is wrong.

  Args:
    answers: class key of each sample, equal for equivalent answers; None or
      blank where none was found. Q lists of n >= k.
    correct: verdicts, laid out as `answers`.
    k: votes of a group, >= 1.
    weights: what each vote counts, finite and >= 0, laid out as `answers`;
      None counts every vote as 1.

  Returns:
    float64, shape [Q].

  Raises:
    InputError: layouts differ, a question with fewer than k samples, or a
      weight that is negative or not finite.
  """
  if weights is None:
    weights = [[1.0] * len(row) for row in answers]
  _check_votes(answers, correct, k, weights)
  scores = []
  for keys, verdicts, votes in zip(answers, correct, weights, strict=True):
    starts = range(0, len(keys) - k + 1, k)
    groups = [slice(start, start + k) for start in starts]
    scores.append(
      np.mean([_winner(keys[g], verdicts[g], votes[g]) for g in groups])
    )
  return np.asarray(scores, np.float64)


def best_of_n(
  outcomes: npt.ArrayLike, values: npt.ArrayLike, n: int
) -> np.ndarray:
  """Outcome of the sample with the highest value; ties count as their mean.

  Samples are taken in consecutive disjoint groups of n and the groups averaged;
  a last group of fewer than n is left out.

  Args:
    outcomes: verdicts, or rewards. Shape [Q, at least n].
    values: score of each sample, for instance the value of prefix + EOS; any
      scale. Shape as `outcomes`.
    n: samples of a group, >= 1.

  Returns:
    float64, shape [Q].

  Raises:
    InputError: shapes differ, a value is NaN, or n is outside 1..samples.
  """
  found = _table(outcomes, "outcomes").astype(np.float64)
  scores = _table(values, "values").astype(np.float64)
  if scores.shape != found.shape or np.isnan(scores).any():
    raise InputError(
      f"best of n: got values of shape {scores.shape}, "
      f"{np.isnan(scores).sum()} of them NaN, expected numbers of shape "
      f"{found.shape}; score every sample"
    )
  if not 1 <= n <= found.shape[1]:
    raise InputError(
      f"best of n: got n {n} with {found.shape[1]} samples of a question, "
      "expected 1 <= n <= samples; draw more or lower n"
    )
  num_groups = found.shape[1] // n

  def groups(table):
    return table[:, : num_groups * n].reshape(-1, num_groups, n)

  scores, found = groups(scores), groups(found)
  best = scores == scores.max(axis=2, keepdims=True)
  return ((best * found).sum(axis=2) / best.sum(axis=2)).mean(axis=1)


def _winner(
  keys: Sequence[str | None], verdicts: Sequence[bool], votes: Sequence[float]
) -> float:
  members = collections.defaultdict(list)
  for key, verdict, vote in zip(keys, verdicts, votes, strict=True):
    if key is not None and key.strip():
      members[key].append((vote, verdict))
  if not members:
    return 0.0
  # fsum: a class's total must not depend on the order of its votes, or equal
  # classes would fail to tie.
  totals = {
    key: math.fsum(vote for vote, _ in rows) for key, rows in members.items()
  }
  most = max(totals.values())
  return float(
    np.mean(
      [
        np.mean([bool(verdict) for _, verdict in members[key]])
        for key, total in totals.items()
        if total == most
      ]
    )
  )


def _check_votes(answers, correct, k, weights) -> None:
  sizes = [len(row) for row in answers]
  for name, table in (("correct", correct), ("weights", weights)):
    if [len(row) for row in table] != sizes:
      raise InputError(
        f"maj1@{k}: got {name} laid out unlike answers, expected one entry "
        "per sample; pass tables of the same questions and samples"
      )
  if k < 1 or min(sizes, default=k) < k:
    raise InputError(
      f"maj1@{k}: got {min(sizes, default=k)} samples of a question, expected "
      "1 <= k <= samples; draw more or lower k"
    )
  if not all(0 <= vote < math.inf for row in weights for vote in row):
    raise InputError(
      f"maj1@{k}: got a weight that is negative or not finite, expected >= 0; "
      "pass probabilities or rewards from 0 upwards"
    )


def _table(values: npt.ArrayLike, name: str) -> np.ndarray:
  table = np.asarray(values)
  if table.ndim != 2 or not table.size:
    raise InputError(
      f"{name}: got shape {table.shape}, expected [questions, samples], none "
      "of them 0; draw as many samples of every question"
    )
  return table
