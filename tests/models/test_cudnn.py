"""Where the kernel is used, and with which arguments; a GPU is not needed."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import decoders

from qsharp_jax import models
from qsharp_jax.models import attention, cudnn
from qsharp_jax.training import memory

BATCH, TIME, HEADS, GROUPS, SLOTS, WIDTH = 2, 4, 4, 2, 6, 8


def a_device(platform, capability):
  return types.SimpleNamespace(platform=platform, compute_capability=capability)


@pytest.fixture
def on(monkeypatch):
  """Makes some devices the only ones."""

  def put(*devices):
    cudnn._is_here.cache_clear()
    monkeypatch.setattr(jax, "devices", lambda: list(devices))

  yield put
  cudnn._is_here.cache_clear()


def takes(time=TIME, width=WIDTH, dtype="bfloat16", softcap=None):
  return cudnn.takes((time, HEADS, width), dtype, softcap)


def test_takes_half_precision_on_one_nvidia_gpu(on):
  on(a_device("gpu", "9.0"))
  assert takes() and takes(dtype="float16") and takes(width=128)
  refused = [
    {"time": 1},
    {"time": 5},
    {"width": 12},
    {"width": 256},
    {"dtype": "float32"},
    {"softcap": 30.0},
  ]
  assert not any(takes(**one) for one in refused)


@pytest.mark.parametrize(
  "devices",
  [
    [a_device("cpu", None)],
    [a_device("gpu", "7.5")],
    [a_device("gpu", "gfx942")],
    [a_device("gpu", "9.0")] * 2,
  ],
)
def test_takes_nothing_elsewhere(on, devices):
  on(*devices)
  assert not takes()


def arguments():
  rng = np.random.default_rng(0)
  draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.bfloat16)
  mask = rng.random((BATCH, TIME, SLOTS)) < 0.6
  mask[..., 0] = True
  return (
    draw(BATCH, TIME, HEADS, WIDTH),
    draw(BATCH, GROUPS, SLOTS, WIDTH),
    draw(BATCH, GROUPS, SLOTS, WIDTH),
    jnp.asarray(mask),
  )


@pytest.mark.parametrize("scale", [None, 0.9])
def test_the_kernel_is_asked_for_the_same_attention(on, monkeypatch, scale):
  wanted = attention.attend(*arguments(), scale=scale)
  asked = []

  def elsewhere(*args, implementation, **kwargs):
    asked.append(implementation)
    with jax.numpy_dtype_promotion("standard"):
      return compute(*args, implementation="xla", **kwargs)

  compute = jax.nn.dot_product_attention
  monkeypatch.setattr(jax.nn, "dot_product_attention", elsewhere)
  on(a_device("gpu", "9.0"))
  found = attention.attend(*arguments(), scale=scale)
  assert asked == ["cudnn"]
  np.testing.assert_allclose(
    np.asarray(found, float), np.asarray(wanted, float), atol=0.02
  )


def test_leaves_are_not_for_the_kernel(on):
  query, keys, values, mask = arguments()
  own = keys[:, :, :2], values[:, :, :2]
  wanted = attention.attend(query, keys, values, mask, own)
  on(a_device("gpu", "9.0"))
  found = attention.attend(query, keys, values, mask, own)
  np.testing.assert_array_equal(found, wanted)


def test_scores_are_not_predicted_where_the_kernel_keeps_none(on):
  config = dataclasses.replace(
    decoders.SMALLEST, num_layers=2, head_width=WIDTH, dtype="bfloat16"
  )
  model = models.ValueModel(config, models.HeadConfig())
  predict = lambda: memory.needed([model], rows=2, length=64).activations
  before = predict()
  on(a_device("gpu", "9.0"))
  # Weights of attention in two layers, and those around one softmax.
  assert before - predict() == (2 + 2) * config.num_heads * 64 * 4 * (2 * 64)
