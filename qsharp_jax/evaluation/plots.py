"""Reward against KL, drawn without a display."""

import dataclasses
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

# Figure and canvas by hand, not pyplot: no global state, no window system.
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qsharp_jax.core import files
from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import marks, plot_labels
from qsharp_jax.evaluation.optimum import Band
from qsharp_jax.evaluation.summary import Row

_REFERENCE_COLOUR = "#333333"
_FRONT_COLOUR = "#777777"


@dataclasses.dataclass(frozen=True)
class _Line:
  label: str
  colour: str
  marker: str
  is_last_round: bool
  points: Sequence[Mapping[str, Any]]


def pareto(
  rows: Iterable[Row | Mapping[str, Any]],
  path: str | os.PathLike,
  *,
  front: Band | None = None,
) -> None:
  """Draws reward against KL: one line per method and round through its etas.

  The KL axis is a square-root scale: it shows 0, and near the reference the
  greatest gain of reward grows like the root of KL. Rows without a finite
  reward and KL are left out.

  Args:
    rows: of a report, as Row or in its JSON form.
    path: the PNG to write, whole or not at all.
    front: the greatest reward at each KL, with its interval.

  Raises:
    InputError: no row has both numbers.
  """
  points = [_point(row) for row in rows]
  points = [p for p in points if np.isfinite([p["kl"], p["reward"]]).all()]
  if not points:
    raise InputError(
      "pareto: got no row with a finite reward and kl, expected at least one; "
      "evaluate first"
    )
  figure = Figure(figsize=(7.2, 4.8), dpi=160, layout="constrained")
  FigureCanvasAgg(figure)
  axes = figure.add_subplot()
  _frame(axes, points)
  labels = []
  for line in _lines(points):
    labels += _draw(axes, line)
  _reference(axes, points)
  if front is not None:
    _front(axes, front)
  _legend(axes)
  figure.draw_without_rendering()
  figure.set_layout_engine("none")
  plot_labels.place(axes, labels, points)
  content = io.BytesIO()
  figure.savefig(content, format="png")
  files.replace(path, content.getvalue())


def _point(row: Row | Mapping[str, Any]) -> dict[str, Any]:
  row = row.to_dict() if isinstance(row, Row) else dict(row)
  for key in ("kl", "reward"):
    row[key] = np.nan if row.get(key) is None else float(row[key])
  low_high = row.get("reward_ci95") or (None, None)
  ends = [row["reward"] if end is None else end for end in low_high]
  row["reward_ci95"] = [float(end) for end in ends]
  return row


def _lines(points: Sequence[Mapping[str, Any]]) -> list[_Line]:
  """One line per method and round, its points by falling eta."""
  guided = [p for p in points if p["method"] != "reference"]
  lines = []
  for method, (colour, marker) in marks.styles(
    p["method"] for p in guided
  ).items():
    own = [p for p in guided if p["method"] == method]
    rounds = sorted({p["round"] for p in own})
    for index in rounds:
      suffix = f", round {index}" if len(rounds) > 1 else ""
      lines.append(
        _Line(
          label=marks.name(method) + suffix,
          colour=marks.COLOURS[colour],
          marker=marks.MARKERS[marker],
          is_last_round=index == rounds[-1],
          points=sorted(
            (p for p in own if p["round"] == index),
            key=lambda p: -np.inf if p["eta"] is None else -p["eta"],
          ),
        )
      )
  return lines


def _frame(axes: Axes, points: Sequence[Mapping[str, Any]]) -> None:
  right = max(max(p["kl"] for p in points), 0.01) * 1.3
  ends = [end for p in points for end in p["reward_ci95"]]
  # Never so narrow that rounding noise looks like a difference.
  margin = max(0.12 * (max(ends) - min(ends)), 0.01 * max(map(abs, ends)), 1e-6)
  axes.set_xscale(
    "function",
    functions=(
      lambda kl: np.sign(kl) * np.sqrt(np.abs(kl)),
      lambda root: np.sign(root) * root**2,
    ),
  )
  # A little below 0, so that the reference is not cut by the frame.
  axes.set_xlim(-right * 0.04**2, right)
  axes.set_ylim(min(ends) - margin, max(ends) + margin)
  ticks = _ticks(right)
  axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
  axes.set_xticks([], minor=True)
  axes.set_xlabel("KL(policy || reference) per response, nats (√ scale)")
  axes.set_ylabel("mean reward, 95% interval over questions")
  axes.grid(color="#e6e6e6", linewidth=0.8)
  axes.set_axisbelow(True)
  axes.spines[["top", "right"]].set_visible(False)


def _ticks(right: float) -> list[float]:
  """0 and round numbers, none closer than a fourteenth of the axis."""
  decades = 10.0 ** np.arange(-6, 8)
  ticks: list[float] = []
  for tick in sorted(np.outer(decades, [1, 2, 5]).ravel(), reverse=True):
    room = np.sqrt(ticks[-1] if ticks else np.inf) - np.sqrt(tick)
    if tick <= right and min(room, np.sqrt(tick)) > np.sqrt(right) / 14:
      ticks.append(float(tick))
  return [0.0, *reversed(ticks)]


def _draw(axes: Axes, line: _Line) -> list[tuple[float, float, str, str]]:
  """Draws one line; returns its labels as (x, y, text, colour)."""
  middle = np.array([p["reward"] for p in line.points])
  low, high = np.array([p["reward_ci95"] for p in line.points]).T
  axes.errorbar(
    np.array([p["kl"] for p in line.points]),
    middle,
    # Rounding can put a mean a hair outside its interval.
    yerr=np.maximum([middle - low, high - middle], 0),
    label=line.label,
    color=line.colour,
    marker=line.marker,
    markersize=6,
    markerfacecolor=line.colour if line.is_last_round else "white",
    markeredgecolor="white" if line.is_last_round else line.colour,
    markeredgewidth=0.8,
    linewidth=1.8 if line.is_last_round else 1.1,
    elinewidth=1.0 if line.is_last_round else 0.6,
    capsize=2.5,
    zorder=3,
  )
  _rings(axes, [p for p in line.points if p.get("selected")], line.colour)
  return [
    (p["kl"], p["reward"], f"{p['eta']:g}", line.colour)
    for p in line.points
    if p["eta"] is not None
  ]


def _rings(axes: Axes, selected: Sequence[Mapping[str, Any]], colour) -> None:
  axes.plot(
    [p["kl"] for p in selected],
    [p["reward"] for p in selected],
    linestyle="none",
    marker="o",
    markersize=13,
    markerfacecolor="none",
    markeredgecolor=colour,
    markeredgewidth=1.4,
    zorder=4,
  )


def _reference(axes: Axes, points: Sequence[Mapping[str, Any]]) -> None:
  """The reference's point."""
  reference = [p for p in points if p["method"] == "reference"]
  if reference:
    name = marks.name("reference")
    _draw(axes, _Line(name, _REFERENCE_COLOUR, "D", True, reference[:1]))


def _front(axes: Axes, front: Band) -> None:
  """What no policy exceeds, with its interval as a band."""
  # Where every sample but the best is gone, more KL buys no more reward.
  right = max(axes.get_xlim()[1], front.kl[-1])
  front = Band(
    np.append(front.kl, right), *(np.append(y, y[-1]) for y in front[1:])
  )
  axes.fill_between(
    front.kl,
    front.low,
    front.high,
    color=_FRONT_COLOUR,
    alpha=0.2,
    linewidth=0,
    zorder=1,
  )
  axes.plot(
    front.kl,
    front.reward,
    linestyle=(0, (5, 3)),
    linewidth=1.3,
    color=_FRONT_COLOUR,
    label="Optimal front, 95% interval",
    zorder=2,
  )
  # The front may leave the picture to the right, but not above.
  low, high = axes.get_ylim()
  seen = front.kl <= axes.get_xlim()[1]
  top = float(np.max(front.high[seen], initial=high))
  axes.set_ylim(low, max(high, top + 0.03 * (top - low)))


def _legend(axes: Axes) -> None:
  axes.legend(
    title="numbers: η; ring: selected",
    title_fontsize="small",
    fontsize="small",
    frameon=False,
    loc="upper left",
    bbox_to_anchor=(1.0, 1.0),
    alignment="left",
  )
