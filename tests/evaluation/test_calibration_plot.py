"""The picture of a value model's calibration."""

import numpy as np
from matplotlib import image

from qsharp_jax.evaluation import calibration_plot


def metrics(**more):
  entry = lambda low, high: {
    "low": low,
    "high": high,
    "mean_prediction": 0.5,
    "mean_label": 0.4,
  }
  return {"by_position": [entry(0, 1), entry(1, 2), entry(2, 4)]} | more


def test_distributions_have_a_second_panel(tmp_path):
  sizes = {}
  for name, more in (
    ("means", {}),
    ("whole", {"pit_histogram": [1.2, 0.8, 1.0, 1.0]}),
  ):
    path = tmp_path / f"{name}.png"
    assert calibration_plot.draw(metrics(**more), path)
    pixels = np.rint(image.imread(path)[..., :3] * 255).astype(int)
    sizes[name] = pixels.shape
    assert (pixels == (0xD5, 0x5E, 0x00)).all(axis=-1).sum() > 50
  assert sizes["whole"][1] == 2 * sizes["means"][1]


def test_nothing_to_draw_writes_nothing(tmp_path):
  assert not calibration_plot.draw({}, tmp_path / "none.png")
  assert not list(tmp_path.iterdir())
