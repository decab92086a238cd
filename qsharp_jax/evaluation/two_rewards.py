"""Two rewards against each other: the front over their weights, drawn."""

import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qsharp_jax.core import files

PREFIX = "front_"  # of the rows of one pair of weights each
_COLOURS = {"front": "#0072B2", "others": "#777777"}


def on_front(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
  """The rows of the front, by the weight of the first reward."""
  own = [row for row in rows if row["method"].startswith(PREFIX)]
  return sorted(own, key=lambda row: _share(row["method"]))


def is_monotone(
  rows: Sequence[Mapping[str, Any]], *, slack: float = 0.0
) -> bool:
  """Whether more weight of a reward gives more of it, and less of the other.

  Args:
    rows: of a report, with `reward` and `judge`, the second reward.
    slack: by how much, in reward units, a number may go the wrong way.
  """
  own = on_front(rows)
  return all(
    after["reward"] >= before["reward"] - slack
    and after["judge"] <= before["judge"] + slack
    for before, after in zip(own, own[1:], strict=False)
  )


def draw(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike) -> None:
  """Draws the judge's mean score against the mean reward, a point a row.

  Args:
    rows: of a report, with `reward` and `judge`.
    path: the PNG to write, whole or not at all.
  """
  figure = Figure(figsize=(7.2, 4.8), dpi=160, layout="constrained")
  FigureCanvasAgg(figure)
  axes = figure.add_subplot()
  front = on_front(rows)
  others = [
    row
    for row in rows
    if row not in front and (row.get("selected") or row["eta"] is None)
  ]
  axes.plot(
    [row["reward"] for row in front],
    [row["judge"] for row in front],
    "o-",
    color=_COLOURS["front"],
    label="both rewards, by weights",
  )
  for row in others:
    point = row["reward"], row["judge"]
    axes.plot(*point, "s", color=_COLOURS["others"], markersize=4)
  for row in [*front, *others]:
    axes.annotate(
      row["method"].removeprefix(PREFIX),
      (row["reward"], row["judge"]),
      textcoords="offset points",
      xytext=(5, 4),
      fontsize=7,
    )
  axes.set_xlabel("mean reward")
  axes.set_ylabel("mean score by the judge, the second reward")
  axes.grid(color="#e6e6e6", linewidth=0.8)
  axes.set_axisbelow(True)
  if front:
    axes.legend(frameon=False, fontsize=8)
  content = io.BytesIO()
  figure.savefig(content, format="png")
  files.replace(path, content.getvalue())


def _share(method: str) -> float:
  """Share of the first reward's weight, from the row's name."""
  first, second = map(float, method.removeprefix(PREFIX).split("_"))
  return first / (first + second)
