import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from qsharp_jax.evaluation import plot_labels


def points(places):
  return [
    {"kl": x, "reward": y, "reward_ci95": [y - 0.02, y + 0.02]}
    for x, y in places
  ]


def drawn(places):
  """Axes with a line through each point's place, and labels beside them."""
  figure = Figure(figsize=(6, 4), dpi=100)
  FigureCanvasAgg(figure)
  axes = figure.add_subplot()
  axes.plot(*zip(*places, strict=True), marker="o")
  figure.draw_without_rendering()
  labels = [(x, y, f"{x:g}", "black") for x, y in places]
  plot_labels.place(axes, labels, points(places))
  figure.draw_without_rendering()
  return axes


@pytest.mark.parametrize(
  "places",
  [
    [(x, 0.1 * x) for x in range(5)],
    [(1.0, 0.75), (1.01, 0.751), (1.02, 0.749), (3.0, 0.9)],
    [(0.0, 0.0), (1.0, 1.0), (0.0, 1.0), (1.0, 0.0)],  # on the frame
  ],
)
def test_labels_do_not_cover_each_other_or_leave_the_frame(places):
  axes = drawn(places)
  assert [x.get_text() for x in axes.texts] == [f"{x:g}" for x, _ in places]
  # Text's own extent: an annotation's would count the leash too.
  boxes = [Text.get_window_extent(text) for text in axes.texts]
  for index, box in enumerate(boxes):
    assert axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
    assert axes.bbox.y0 <= box.y0 and box.y1 <= axes.bbox.y1
    for other in boxes[:index]:
      assert not box.overlaps(other)


def test_a_lonely_label_stands_close_and_a_crowded_one_on_a_leash():
  (alone,) = drawn([(0.5, 0.5)]).texts
  assert alone.arrow_patch is None
  assert np.hypot(*alone.xyann) < 15
  crowd = drawn([(0.5 + 0.002 * i, 0.5) for i in range(8)] + [(0, 0), (1, 1)])
  assert any(text.arrow_patch is not None for text in crowd.texts)
