"""Does a value model rank, and do its probabilities mean what they say?

Shape letter of this file: S scored prefixes, flat (mask applied by the caller).
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from qsharp_jax.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Bin:
  """The scored prefixes of one bin [low, high).

  Attributes:
    low: first number inside.
    high: first number outside (the last bin of a reliability table holds it).
    count: prefixes inside.
    mean_probability: NaN in an empty bin.
    mean_label: NaN in an empty bin.
  """

  low: float
  high: float
  count: int
  mean_probability: float
  mean_label: float


@dataclasses.dataclass(frozen=True)
class PositionBin(Bin):
  """A bin of token positions.

  Attributes:
    roc_auc: `roc_auc` inside the bin.
    calibration_error: `expected_calibration_error` inside the bin, NaN if
      empty.
  """

  roc_auc: float
  calibration_error: float


def roc_auc(scores: npt.ArrayLike, labels: npt.ArrayLike) -> float:
  """Chance that a right one scores above a wrong one; ties count half.

  Args:
    scores: any scale. Shape [S].
    labels: 0 or 1. Shape [S].

  Returns:
    In [0, 1]; NaN when a class is absent or a score is NaN.

  Raises:
    InputError: shapes differ or a label is neither 0 nor 1.

  Source: Mann and Whitney (1947): the rank sum of the positives, less its
  minimum, over the number of pairs.
  """
  scores, labels = _pair(scores, labels)
  if not np.isin(labels, (0, 1)).all():
    raise InputError(
      "roc_auc: got a label other than 0 and 1, expected verdicts; threshold "
      "graded rewards first"
    )
  positive = labels == 1
  num_positive = int(positive.sum())
  num_negative = labels.size - num_positive
  if not num_positive or not num_negative or np.isnan(scores).any():
    return float("nan")
  _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
  mid_ranks = np.cumsum(counts) - (counts - 1) / 2
  rank_sum = mid_ranks[place][positive].sum()
  least = num_positive * (num_positive + 1) / 2
  return float((rank_sum - least) / (num_positive * num_negative))


def explained_variance(
  predictions: npt.ArrayLike, targets: npt.ArrayLike
) -> float:
  """1 - Var(targets - predictions) / Var(targets).

  A constant offset of the predictions does not count against them.

  Args:
    predictions: shape [S].
    targets: shape [S].

  Returns:
    At most 1, 0 for a constant prediction; NaN when all targets are equal or
    there are none.

  Raises:
    InputError: shapes differ.
  """
  predictions, targets = _pair(predictions, targets)
  if not targets.size or np.ptp(targets) == 0:
    return float("nan")
  return float(1 - np.var(targets - predictions) / np.var(targets))


def reliability_table(
  probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, num_bins: int = 10
) -> list[Bin]:
  """Mean probability beside mean label in bins of equal width over [0, 1].

  Args:
    probabilities: in [0, 1]. Shape [S].
    labels: rewards in [0, 1], usually 0 or 1. Shape [S].
    num_bins: >= 1.

  Returns:
    All bins, lowest first, empty ones too. A number on an edge falls into the
    upper bin, 1 into the last.

  Raises:
    InputError: shapes differ, a number outside [0, 1], or no bin asked for.
  """
  probabilities, labels = _pair(probabilities, labels)
  for name, numbers in (("probability", probabilities), ("label", labels)):
    if not ((numbers >= 0) & (numbers <= 1)).all():
      raise InputError(
        f"calibration: got a {name} outside [0, 1], expected only numbers "
        "inside; rescale values by the reward's range first"
      )
  if num_bins < 1:
    raise InputError(f"calibration: got {num_bins} bins, expected >= 1; try 10")
  edges = np.linspace(0, 1, num_bins + 1)
  # Only the inner edges, so that 1 stays in the last bin.
  place = np.digitize(probabilities, edges[1:-1])
  return [
    Bin(
      float(edges[i]),
      float(edges[i + 1]),
      *_means(probabilities[place == i], labels[place == i]),
    )
    for i in range(num_bins)
  ]


def expected_calibration_error(
  probabilities: npt.ArrayLike, labels: npt.ArrayLike, *, num_bins: int = 10
) -> float:
  """|mean probability - mean label| of `reliability_table`, by bin count.

  Args:
    probabilities: in [0, 1]. Shape [S].
    labels: rewards in [0, 1], usually 0 or 1. Shape [S].
    num_bins: >= 1.

  Returns:
    In [0, 1], 0 is calibrated; NaN when nothing was scored.

  Raises:
    InputError: as `reliability_table`.

  Source: arXiv 1706.04599, Eq. (3).
  """
  table = reliability_table(probabilities, labels, num_bins=num_bins)
  total = sum(entry.count for entry in table)
  if not total:
    return float("nan")
  gaps = [
    entry.count * abs(entry.mean_probability - entry.mean_label)
    for entry in table
    if entry.count
  ]
  return float(sum(gaps) / total)


def by_position(
  probabilities: npt.ArrayLike,
  labels: npt.ArrayLike,
  positions: npt.ArrayLike,
  *,
  edges: Sequence[float],
) -> list[PositionBin]:
  """Ranking and calibration by how far into the response a prefix ends.

  Args:
    probabilities: in [0, 1]. Shape [S].
    labels: 0 or 1. Shape [S].
    positions: token position of each prefix. Shape [S].
    edges: increasing, at least two; bin i holds edges[i] <= position <
      edges[i + 1]. Positions outside all bins are left out; end on inf to keep
      the long ones.

  Returns:
    One entry per bin.

  Raises:
    InputError: shapes differ, edges that do not increase, numbers outside
      [0, 1], or labels other than 0 and 1.
  """
  probabilities, labels = _pair(probabilities, labels)
  table = []
  for low, high, inside in position_bins(positions, labels, edges):
    scored, verdicts = probabilities[inside], labels[inside]
    table.append(
      PositionBin(
        low,
        high,
        *_means(scored, verdicts),
        roc_auc=roc_auc(scored, verdicts),
        calibration_error=expected_calibration_error(scored, verdicts),
      )
    )
  return table


def position_bins(
  positions: npt.ArrayLike, scored: npt.ArrayLike, edges: Sequence[float]
) -> Iterator[tuple[float, float, np.ndarray]]:
  """The bins of positions, and which prefixes are inside each.

  Args:
    positions: token position of each prefix. Shape [S].
    scored: any number for each prefix. Shape [S].
    edges: as for `by_position`.

  Yields:
    (low, high, inside): edges of a bin, and a mask [S].

  Raises:
    InputError: shapes differ, or edges that do not increase.
  """
  positions, _ = _pair(positions, scored)
  bounds = np.asarray(edges, np.float64)
  if bounds.ndim != 1 or bounds.size < 2 or not (np.diff(bounds) > 0).all():
    raise InputError(
      f"by_position: got edges {bounds.tolist()}, expected at least two, "
      "increasing; try [0, 64, 128, 256, inf]"
    )
  for low, high in zip(bounds[:-1], bounds[1:], strict=True):
    yield float(low), float(high), (positions >= low) & (positions < high)


def _means(
  probabilities: np.ndarray, labels: np.ndarray
) -> tuple[int, float, float]:
  if not labels.size:
    return 0, float("nan"), float("nan")
  return labels.size, float(probabilities.mean()), float(labels.mean())


def _pair(
  first: npt.ArrayLike, second: npt.ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
  # Verdicts come as bool, whose differences numpy refuses.
  first = np.asarray(first, np.float64)
  second = np.asarray(second, np.float64)
  if first.ndim != 1 or first.shape != second.shape:
    raise InputError(
      f"calibration: got shapes {first.shape} and {second.shape}, expected "
      "two equal shapes [S]; flatten and mask both alike"
    )
  return first, second
