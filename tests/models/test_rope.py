import dataclasses

import numpy as np
from oracles import decoders

from qsharp_jax import models


def _rotated(x, position, config):
  turn = models.rope.rotations(config, np.array([[position]], np.int32), 600)
  return np.asarray(models.rope.rotate(x[None, None, None], turn))[0, 0, 0]


def test_pairs_of_channels_turn_as_complex_numbers():
  config = decoders.config("llama")  # heads of 16 channels
  x = np.random.default_rng(1).normal(size=16).astype(np.float32)
  for position in (0, 1, 7):
    freqs = 1e4 ** (-np.arange(0, 16, 2) / 16)
    turned = (x[:8] + 1j * x[8:]) * np.exp(1j * position * freqs)
    want = np.concatenate([turned.real, turned.imag])
    np.testing.assert_allclose(
      _rotated(x, position, config), want, rtol=1e-5, atol=1e-6
    )


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


def test_a_part_of_the_channels_turns_as_a_narrower_head():
  whole = decoders.config("llama")  # heads of 16 channels
  part = dataclasses.replace(whole, rotary_fraction=0.5)
  narrow = dataclasses.replace(whole, head_width=8)
  x = np.random.default_rng(0).normal(size=16).astype(np.float32)
  found = _rotated(x, 7, part)
  np.testing.assert_array_equal(found[8:], x[8:])
  np.testing.assert_allclose(found[:8], _rotated(x[:8], 7, narrow), atol=1e-6)
  assert np.abs(found[:8] - x[:8]).max() > 0.1


def test_layers_with_a_base_of_their_own_are_not_stretched():
  both = dataclasses.replace(
    decoders.config("llama_linear"), local_rope_theta=100.0
  )
  local = models.rope.frequencies(both, is_local=True)
  expected = 100.0 ** (-np.arange(0, 16, 2) / 16)
  np.testing.assert_allclose(local, expected, rtol=1e-6)
  plain = models.rope.frequencies(decoders.config("llama_linear"))
  np.testing.assert_array_equal(models.rope.frequencies(both), plain)


def test_yarn_keeps_fast_waves_divides_slow_ones_and_lengthens():
  config = dataclasses.replace(
    decoders.config("llama"),
    rope_scaling=models.RopeScaling(
      "yarn", 4.0, original_max_length=64, attention_factor=1.5
    ),
  )
  plain = models.rope.frequencies(decoders.config("llama"))
  scaled = models.rope.frequencies(config)
  share = scaled / plain
  # Of 64 positions: the fastest turns 10.2 times, from the fourth on none does.
  assert share[0] == 1 and np.all(np.diff(share) <= 0)
  np.testing.assert_allclose(share[3:], 1 / 4, rtol=1e-6)
  x = np.ones(16, np.float32)
  length = np.linalg.norm(_rotated(x, 5, config)) / np.linalg.norm(x)
  np.testing.assert_allclose(length, 1.5, rtol=1e-5)
