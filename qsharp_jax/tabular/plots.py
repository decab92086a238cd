"""Sub-optimality against rounds and against eta, drawn without a display."""

import io
import os
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from qsharp_jax.core import files

# Okabe and Ito's palette: told apart by colour-blind readers and in grey.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_FLOOR = 1e-7  # below this single precision says nothing


def learning(curves: Mapping[str, np.ndarray], path: str | os.PathLike) -> None:
  """Draws the mean sub-optimality of every learner against rounds.

  Args:
    curves: name -> sub-optimality [seeds, rounds].
    path: the PNG to write, whole or not at all.
  """
  figure, (axes,) = _figure(1)
  for (name, gaps), colour in zip(curves.items(), _COLOURS, strict=False):
    rounds = _rounds(gaps)
    mean = np.maximum(gaps.mean(0)[rounds - 1], _FLOOR)
    axes.loglog(rounds, mean, color=colour, label=name, linewidth=1.5)
  axes.set_ylabel("V*(root) − objective of round k")
  _finish(figure, axes, path)


def second_order(studies: Sequence[Mapping], path: str | os.PathLike) -> None:
  """Draws cumulative sub-optimality against rounds, a line for each variance.

  The dashed line grows as the square root of the rounds.

  Args:
    studies: {"cv2": ..., "curves": {learner: [seeds, rounds]}}, by variance.
    path: the PNG to write, whole or not at all.
  """
  figure, panels = _figure(len(studies[0]["curves"]))
  for name, axes in zip(studies[0]["curves"], panels, strict=True):
    for study, colour in zip(studies, _COLOURS, strict=False):
      gaps = study["curves"][name]
      rounds = _rounds(gaps)
      sums = gaps.cumsum(-1)[:, rounds - 1]
      mean, error = sums.mean(0), sums.std(0) / np.sqrt(len(sums))
      label = f"CV² = {study['cv2']:.3g}"
      axes.loglog(rounds, mean, color=colour, label=label, linewidth=1.5)
      axes.fill_between(
        rounds, mean - error, mean + error, color=colour, alpha=0.2, lw=0
      )
    axes.loglog(
      rounds,
      mean[-1] * np.sqrt(rounds / rounds[-1]),
      color="#777777",
      linestyle=(0, (5, 3)),
      linewidth=1,
      label="∝ √k",
    )
    axes.set_title(name, fontsize="medium")
  panels[0].set_ylabel("cumulative sub-optimality")
  _finish(figure, panels[-1], path)


def cd_gaps(rows: Sequence[Mapping], path: str | os.PathLike) -> None:
  """Draws what Q# and CD, exactly informed, leave on the table against eta.

  Args:
    rows: {"eta", "qsharp_gap", "cd_gap"}.
    path: the PNG to write, whole or not at all.
  """
  figure, (axes,) = _figure(1)
  etas = [row["eta"] for row in rows]
  for key, name, colour in (
    ("qsharp_gap", "Q#, exact distributions", _COLOURS[0]),
    ("cd_gap", "CD, exact means", _COLOURS[1]),
  ):
    gaps = [row[key] for row in rows]
    axes.semilogx(etas, gaps, "o-", color=colour, label=name, markersize=4)
  axes.set_ylabel("V*(root) − objective on the tree")
  _finish(figure, axes, path, x_label="η, KL weight (small is strong guidance)")


def _figure(num_panels: int) -> tuple[Figure, Sequence[Axes]]:
  figure = Figure(figsize=(2.4 + 3.6 * num_panels, 4), dpi=120)
  figure.set_layout_engine("constrained")
  FigureCanvasAgg(figure)
  panels = figure.subplots(1, num_panels, sharey=True, squeeze=False)[0]
  return figure, panels


def _finish(
  figure, legend_axes: Axes, path, *, x_label: str = "round k"
) -> None:
  for axes in figure.axes:
    axes.set_xlabel(x_label)
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
  legend_axes.legend(
    fontsize="small", frameon=False, loc="upper left", bbox_to_anchor=(1, 1)
  )
  content = io.BytesIO()
  figure.savefig(content, format="png")
  files.replace(path, content.getvalue())


def _rounds(gaps: np.ndarray) -> np.ndarray:
  """Rounds to draw, evenly spread on a logarithmic axis."""
  num = gaps.shape[1]
  return np.unique(np.geomspace(1, num, 200).round().astype(int))
