"""Labels beside the points of a plot, where they cover the least."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes

# Where a label may stand: offset from its point in points, price of the
# distance; the corners first, since lines and intervals leave them free.
_SPOTS = [
  (
    (
      float(1.25 * radius * np.cos(np.deg2rad(angle))),
      float(radius * np.sin(np.deg2rad(angle))),
    ),
    price,
  )
  for radius, price in ((11, 0.0), (15, 0.9), (21, 2.5), (29, 4.5))
  for angle in (135, 45, 315, 225, 0, 180, 90, 270, 112, 68, 292, 248)
]


def place(
  axes: Axes,
  labels: Sequence[tuple[float, float, str, str]],
  points: Sequence[Mapping[str, Any]],
) -> None:
  """Puts each label at the cheapest spot beside its point, far ones on a leash.

  The frame must not move afterwards: obstacles are measured in pixels.

  Args:
    axes: with all else drawn, and its layout fixed.
    labels: (x, y, text, colour) of each.
    points: of the report, whose markers and intervals stay free.
  """
  boxes, costs = _obstacles(axes, points)
  pixel = axes.figure.dpi / 72
  for x, y, text, colour in labels:
    # Digits of 8 points are about 5 wide and 7 high.
    half = np.array([2.6 * len(text) + 1.5, 5.0]) * pixel
    centre = axes.transData.transform((x, y))
    spots = [centre + np.array(offset) * pixel for offset, _ in _SPOTS]
    prices = [
      far + _cost(axes, np.r_[spot - half, spot + half], boxes, costs)
      for spot, (_, far) in zip(spots, _SPOTS, strict=True)
    ]
    best = int(np.argmin(prices))
    offset, far = _SPOTS[best]
    _write(axes, (x, y), text, offset, colour, leash=far > 1)
    boxes = np.vstack([boxes, [*(spots[best] - half), *(spots[best] + half)]])
    costs = np.append(costs, 12.0)


def _write(axes, place, text, offset, colour, *, leash) -> None:
  label = axes.annotate(
    text,
    place,
    xytext=offset,
    textcoords="offset points",
    ha="center",
    va="center",
    fontsize=8,
    color=colour,
    zorder=5,
    path_effects=[patheffects.withStroke(linewidth=2.5, foreground="white")],
    arrowprops={
      "arrowstyle": "-",
      "color": colour,
      "linewidth": 0.6,
      "shrinkB": 3,
    }
    if leash
    else None,
  )
  label.set_in_layout(False)


def _obstacles(
  axes: Axes, points: Sequence[Mapping[str, Any]]
) -> tuple[np.ndarray, np.ndarray]:
  """What a label should not cover: boxes [M, 4] in pixels, price of each."""
  pixel = axes.figure.dpi / 72
  boxes, costs = [], []

  def add(low, high, margin, cost):
    boxes.append(np.r_[low - margin * pixel, high + margin * pixel])
    costs.append(cost)

  for p in points:
    middle, low, high = axes.transData.transform(
      [(p["kl"], end) for end in (p["reward"], *p["reward_ci95"])]
    )
    add(middle, middle, 7.5 if p.get("selected") else 4.0, 12.0)
    add(low, high, 1.5, 3.0)
  for drawn in axes.get_lines():
    if drawn.get_linestyle() == "None":  # The caps of the intervals.
      continue
    for start, end in itertools.pairwise(
      axes.transData.transform(drawn.get_xydata())
    ):
      count = max(int(np.hypot(*(end - start)) / (3 * pixel)), 1)
      for dot in np.linspace(start, end, count, endpoint=False):
        add(dot, dot, 1.0, 1.0)
  return np.array(boxes), np.array(costs)


def _cost(
  axes: Axes, box: np.ndarray, boxes: np.ndarray, costs: np.ndarray
) -> float:
  overlaps = (box[:2] < boxes[:, 2:]) & (box[2:] > boxes[:, :2])
  frame = np.ravel(axes.bbox.get_points())
  outside = (box[:2] < frame[:2]).any() or (box[2:] > frame[2:]).any()
  return float(costs[overlaps.all(axis=1)].sum() + 50.0 * outside)
