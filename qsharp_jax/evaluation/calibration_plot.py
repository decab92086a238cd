"""How well values forecast rewards, drawn without a display."""

import io
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qsharp_jax.core import files

_PREDICTED, _OBSERVED, _GREY = "#0072B2", "#D55E00", "#777777"


def draw(found: Mapping[str, Any], path: str | os.PathLike) -> bool:
  """Draws what `value_metrics.summarise` found of one value model.

  On the left the mean forecast beside the mean reward by response token; on
  the right, of distributions, the histogram of the probability integral
  transform, flat where they are calibrated.

  Args:
    found: metrics with `by_position`.
    path: the PNG to write, whole or not at all.

  Returns:
    Whether there was anything to draw.
  """
  if not found.get("by_position"):
    return False
  histogram = found.get("pit_histogram")
  num_panels = 2 if histogram else 1
  figure = Figure(figsize=(4.2 * num_panels, 3.4), dpi=160)
  figure.set_layout_engine("constrained")
  FigureCanvasAgg(figure)
  panels = figure.subplots(1, num_panels, squeeze=False)[0]
  _means(panels[0], found["by_position"])
  if histogram:
    _transform(panels[1], histogram)
  content = io.BytesIO()
  figure.savefig(content, format="png")
  files.replace(path, content.getvalue())
  return True


def _means(axes: Axes, entries: Sequence[Mapping[str, Any]]) -> None:
  places = np.arange(len(entries))
  for key, label, colour, marker in (
    ("mean_prediction", "forecast", _PREDICTED, "o"),
    ("mean_label", "observed", _OBSERVED, "s"),
  ):
    axes.plot(
      places,
      [entry[key] for entry in entries],
      color=colour,
      marker=marker,
      linestyle="-" if marker == "o" else (0, (4, 2)),
      label=label,
    )
  # A bin of one token is called by it, others by their ends.
  names = [
    f"{entry['low']:.0f}"
    if entry["high"] - entry["low"] <= 1
    else f"{entry['low']:.0f}–{entry['high'] - 1:.0f}"
    for entry in entries
  ]
  axes.set_xticks(places, names)
  axes.set_xlabel("response token")
  axes.set_ylabel("mean reward")
  axes.legend(frameon=False, fontsize="small")
  _bare(axes)


def _transform(axes: Axes, histogram: Sequence[float]) -> None:
  edges = np.linspace(0, 1, len(histogram) + 1)
  axes.bar(
    edges[:-1],
    histogram,
    width=np.diff(edges),
    align="edge",
    color=_PREDICTED,
    alpha=0.75,
    edgecolor="white",
  )
  axes.axhline(1.0, color=_GREY, linestyle=(0, (5, 3)), linewidth=1.3)
  axes.set_xlim(0, 1)
  axes.set_xlabel("probability integral transform")
  axes.set_ylabel("density (dashed: calibrated)")
  axes.xaxis.set_major_locator(ticker.MultipleLocator(0.2))
  _bare(axes)


def _bare(axes: Axes) -> None:
  axes.grid(color="#e6e6e6", linewidth=0.8)
  axes.set_axisbelow(True)
  axes.spines[["top", "right"]].set_visible(False)
