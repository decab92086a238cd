import subprocess
import sys

import numpy as np
import pytest
from matplotlib import image

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import (
  marks,
  optimum,
  plot_labels,
  plots,
  summary,
)
from qsharp_jax.evaluation.samples import Samples


def row(method, eta, kl, accuracy, *, round_index=1, selected=False):
  interval = [accuracy - 0.02, accuracy + 0.02]
  return {
    "method": method,
    "eta": eta,
    "round": round_index,
    "kl": kl,
    "reward": accuracy,
    "reward_ci95": interval,
    "selected": selected,
  }


def grid():
  etas = [3, 1, 0.3, 0.1, 0.03]
  rows = [row("reference", None, 0.0, 0.69, round_index=0)]
  for method, cost in (("qsharp", 1.0), ("cd", 2.0)):
    for step, eta in enumerate(etas):
      accuracy = 0.69 + 0.02 * step
      kl = cost * 0.02 * 3.0**step
      rows.append(row(method, eta, kl, accuracy, selected=eta == 0.1))
  return rows


def test_the_picture_has_the_colours_of_what_it_shows(tmp_path):
  path = tmp_path / "pareto.png"
  plots.pareto(grid(), path)
  assert path.stat().st_size > 20_000
  pixels = np.rint(image.imread(path)[..., :3] * 255).astype(int)
  for colour in (marks.COLOURS[0], marks.COLOURS[1]):
    rgb = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    assert (pixels == rgb).all(axis=-1).sum() > 200, colour
  assert [p.name for p in tmp_path.iterdir()] == ["pareto.png"]


def drawn(monkeypatch, tmp_path, rows, **more):
  """The axes of a plot, caught when the labels are placed."""
  caught = []
  place = plot_labels.place
  monkeypatch.setattr(
    plot_labels, "place", lambda *args: (place(*args), caught.append(args[0]))
  )
  plots.pareto(rows, tmp_path / "p.png", **more)
  return caught[0]


def test_one_line_per_method_through_its_grid(monkeypatch, tmp_path):
  axes = drawn(monkeypatch, tmp_path, list(reversed(grid())))
  names = [container.get_label() for container in axes.containers]
  assert names == ["Q#", "CD", "Reference"]
  kl = axes.containers[0].lines[0].get_xdata()
  np.testing.assert_allclose(kl, [0.02 * 3.0**i for i in range(5)])
  assert [text.get_text() for text in axes.texts] == [
    "3",
    "1",
    "0.3",
    "0.1",
    "0.03",
  ] * 2


def band():
  kl = np.linspace(0, 3, 50)
  reward = 0.69 + 0.25 * np.sqrt(kl / 3)
  return optimum.Band(kl, reward, reward - 0.01, reward + 0.02)


def test_the_front_is_drawn_with_its_interval(monkeypatch, tmp_path):
  axes = drawn(monkeypatch, tmp_path, grid(), front=band())
  (front,) = [
    line for line in axes.lines if line.get_label().startswith("Optimal")
  ]
  kl, reward = front.get_data()
  np.testing.assert_array_equal(kl[:-1], band().kl)
  np.testing.assert_array_equal(reward[:-1], band().reward)
  assert reward[-1] == reward[-2]  # beyond the last sample it is level
  filled = min(axes.collections, key=lambda c: c.get_zorder())
  corners = filled.get_paths()[0].get_extents()
  assert corners.ymin == pytest.approx(0.68)
  assert corners.ymax == pytest.approx(0.96)
  seen = band().kl <= axes.get_xlim()[1]
  assert axes.get_ylim()[1] > band().high[seen].max()


def test_rounds_are_lines_of_their_own(monkeypatch, tmp_path):
  rows = [row("qsharp", 0.1, 1.0, 0.7, round_index=r) for r in (1, 2)]
  axes = drawn(monkeypatch, tmp_path, rows)
  names = [container.get_label() for container in axes.containers]
  assert names == ["Q#, round 1", "Q#, round 2"]


@pytest.mark.parametrize(
  "rows",
  [
    [row("reference", None, 0.0, 0.0)],
    [row("reference", None, 0.0, 1.0), row("cd", 0.1, 0.0, 1.0)],
    [row("cd", 0.1, 3e-5, 0.5), row("cd", 1.0, None, 0.5)],
    [row("cd", None, 2e3, 0.5), row("other", 1e-3, 4.0, 0.6)],
  ],
)
def test_odd_reports_are_drawn_too(tmp_path, rows):
  plots.pareto(rows, tmp_path / "p.png")
  assert (tmp_path / "p.png").stat().st_size > 10_000


def test_rows_of_the_report_are_taken_as_they_are(tmp_path):
  count = 16
  samples = Samples(
    question_ids=["a", "b"] * 8,
    reward=np.arange(count) % 3 == 0,
    kl=np.zeros(count),
    kl_filtered=np.zeros(count),
    length=np.ones(count),
    truncated=np.zeros(count, bool),
    seconds=1.0,
  )
  rows = [summary.summarise(samples, method="reference")]
  plots.pareto(rows, tmp_path / "p.png")
  assert (tmp_path / "p.png").exists()


def test_nothing_to_draw_is_refused(tmp_path):
  with pytest.raises(InputError, match="no row with a finite"):
    plots.pareto([row("cd", 0.1, float("nan"), 0.5)], tmp_path / "p.png")
  assert not list(tmp_path.iterdir())


def test_the_room_needs_no_jax_and_no_pyplot():
  code = (
    "import sys; from qsharp_jax import evaluation; evaluation.plots;"
    "sys.exit(any(m in sys.modules for m in ('jax', 'matplotlib.pyplot')))"
  )
  assert subprocess.run([sys.executable, "-c", code]).returncode == 0
