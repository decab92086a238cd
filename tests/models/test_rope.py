import numpy as np
from oracles import decoders

from qsharp_jax import models


def _rotated(x, position, config):
  turn = models.rope.rotations(config, np.array([[position]], np.int32), 600)
  return np.asarray(models.rope.rotate(x[None, None, None], turn))[0, 0, 0]


def test_products_depend_on_the_distance_alone():
  config = decoders.config("llama31")
  rng = np.random.default_rng(0)
  q, k = rng.normal(size=(2, config.head_width)).astype(np.float32)
  at = lambda i, j: _rotated(q, i, config) @ _rotated(k, j, config)
  np.testing.assert_allclose(at(13, 4), at(9, 0), atol=1e-4)
  assert abs(at(13, 4) - at(13, 5)) > 1e-2
  np.testing.assert_allclose(at(0, 0), q @ k, atol=1e-5)


def test_llama3_scaling_keeps_fast_waves_and_divides_slow_ones():
  plain = models.rope.frequencies(decoders.config("llama"))
  config = decoders.config("llama31")  # base 5e5, factor 8, trained for 16
  scaled = models.rope.frequencies(config)
  base = 5e5 ** (-np.arange(0, 16, 2) / 16)
  wavelengths = 2 * np.pi / base
  fast, slow = wavelengths < 16 / 4, wavelengths > 16 / 1
  assert slow.any()
  np.testing.assert_allclose(scaled[fast], base[fast], rtol=1e-6)
  np.testing.assert_allclose(scaled[slow], base[slow] / 8, rtol=1e-6)
  middle = ~fast & ~slow
  assert middle.any()
  assert (scaled[middle] < base[middle]).all()
  assert (scaled[middle] > base[middle] / 8).all()
  linear = models.rope.frequencies(decoders.config("llama_linear"))
  np.testing.assert_allclose(linear, plain / 4, rtol=1e-6)
