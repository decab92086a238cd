"""Do distributions of the reward mean what they say?

The probability integral transform of an observation is the probability that its
forecast gave to less: uniform on [0, 1] if forecasts are calibrated. Where a
forecast has steps the transform is known up to its bounds F(y-) and F(y) only
(`ops.distributions.pit`); what is here averages over all that lies between.

Shape letters of this file: S observations, flat (mask applied by the caller);
M outcomes that an observation stands for, such as the two atoms next to it.

Source: Czado, Gneiting and Held (2009), Predictive model assessment for count
data.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import calibration


class Bounds(NamedTuple):
  """Bounds of the transform of each observation.

  Attributes:
    lower: probability of less than was observed. Shape [S] or [S, M].
    upper: probability of what was observed or less. Same shape.
    weights: of the M outcomes, adding up to 1. Same shape; 1 by default.
  """

  lower: npt.ArrayLike
  upper: npt.ArrayLike
  weights: npt.ArrayLike = 1.0


@dataclasses.dataclass(frozen=True)
class PositionBin:
  """The observations of one bin of token positions.

  Attributes:
    low: first position inside.
    high: first position outside.
    count: observations inside.
    error: `error` inside the bin, NaN if empty.
    histogram: `histogram` inside the bin, NaN if empty.
  """

  low: float
  high: float
  count: int
  error: float
  histogram: tuple[float, ...]


def cdf(bounds: Bounds, points: npt.ArrayLike) -> np.ndarray:
  """Mean distribution function of numbers drawn between the bounds.

  Of calibrated forecasts it is the diagonal, on average. Nothing is drawn.

  Args:
    bounds: of all observations.
    points: in [0, 1]. Shape [G].

  Returns:
    The function at the points. Shape [G]. NaN when nothing was observed.

  Raises:
    InputError: shapes differ, or bounds that are none.

  Source: Czado, Gneiting and Held (2009), Eq. (1) and (2).
  """
  lower, upper, weights = _arrays(bounds)
  points = np.asarray(points, np.float64)
  if not len(lower):
    return np.full(points.shape, np.nan)
  width = upper - lower
  is_wide = width > 0
  width = np.where(is_wide, width, 1.0)

  def at(point: float) -> float:
    slopes = np.clip((point - lower) / width, 0.0, 1.0)
    # Between bounds that meet is a step.
    return float((weights * np.where(is_wide, slopes, point >= lower)).sum())

  # A point at a time: all at once would take a table of S by G.
  return np.array([at(point) for point in points]) / weights.sum()


def histogram(bounds: Bounds, *, num_bins: int = 10) -> np.ndarray:
  """The non-randomised histogram of the probability integral transform.

  Flat at 1 for calibrated forecasts; high at both ends where they are too
  narrow, in the middle where they are too wide, at the right where observations
  lie above them.

  Args:
    bounds: of all observations.
    num_bins: J, bins of equal width over [0, 1].

  Returns:
    Heights, of mean 1. Shape [J]. NaN when nothing was observed.

  Raises:
    InputError: as `cdf`, or no bin asked for.

  Source: Czado, Gneiting and Held (2009), section 2.1.
  """
  found = cdf(bounds, _edges(num_bins))
  # A step at 0 belongs to the first bin.
  return num_bins * np.diff(found[1:], prepend=0 * found[0])


def error(bounds: Bounds, *, num_bins: int = 100) -> float:
  """Greatest distance of `cdf` from the diagonal: 0 is calibrated.

  It is the distance of Kolmogorov and Smirnov, read at the edges of bins only:
  by at most 1 / J too small.

  Args:
    bounds: of all observations.
    num_bins: J, bins of equal width over [0, 1].

  Returns:
    In [0, 1]; NaN when nothing was observed.

  Raises:
    InputError: as `histogram`.
  """
  edges = _edges(num_bins)
  return float(np.abs(cdf(bounds, edges) - edges).max())


def by_position(
  bounds: Bounds,
  positions: npt.ArrayLike,
  *,
  edges: Sequence[float],
  num_bins: int = 10,
) -> list[PositionBin]:
  """Calibration by how far into the response a prefix ends.

  Args:
    bounds: of all observations.
    positions: token position of each prefix. Shape [S].
    edges: as for `calibration.by_position`.
    num_bins: of the histograms.

  Returns:
    One entry per bin of positions.

  Raises:
    InputError: as `histogram`, or edges that do not increase.
  """
  lower, upper, weights = _arrays(bounds)
  table = []
  for low, high, inside in calibration.position_bins(
    positions, lower[:, 0], edges
  ):
    own = Bounds(lower[inside], upper[inside], weights[inside])
    heights = tuple(histogram(own, num_bins=num_bins).tolist())
    count = int(inside.sum())
    table.append(PositionBin(low, high, count, error(own), heights))
  return table


def _arrays(bounds: Bounds) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Bounds and weights as float64 [S, M]."""
  lower = np.asarray(bounds.lower, np.float64)
  upper = np.asarray(bounds.upper, np.float64)
  weights = np.asarray(bounds.weights, np.float64)
  if not weights.ndim:
    weights = np.full(lower.shape, weights)
  shapes = [x.shape for x in (lower, upper, weights)]
  if lower.ndim not in (1, 2) or len(set(shapes)) > 1:
    raise InputError(
      f"calibration: got PIT bounds and weights of shapes {shapes}, expected "
      "equal shapes [S] or [S, M]; flatten and mask all alike"
    )
  if not ((lower >= 0) & (lower <= upper) & (upper <= 1 + 1e-5)).all():
    raise InputError(
      "calibration: got PIT bounds that are not in order or outside [0, 1], "
      "expected 0 <= F(y-) <= F(y) <= 1"
    )
  columns = len(lower), lower.shape[1] if lower.ndim > 1 else 1
  return (
    lower.reshape(columns),
    upper.reshape(columns),
    weights.reshape(columns),
  )


def _edges(num_bins: int) -> np.ndarray:
  if num_bins < 1:
    raise InputError(f"calibration: got {num_bins} bins, expected >= 1; try 10")
  return np.linspace(0, 1, num_bins + 1)
