"""Every kind of layer on eight devices, most with fewer key-value heads."""

import dataclasses

import jax
import numpy as np
import pytest
from oracles import decoders, torch_models

from qsharp_jax import models
from qsharp_jax.checkpoint import families
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.sharding import mesh as mesh_lib

pytestmark = pytest.mark.skipif(
  jax.device_count() != 8,
  reason=f"needs 8 devices, here are {jax.device_count()}",
)

# Sizes that eight devices share; but for NeoX, one or two key-value heads.
WIDER = {"vocab_size": 96, "num_attention_heads": 8}


def _config(variant):
  family, keys = torch_models.VARIANTS[variant]
  return families.from_hf({"model_type": family, **keys, **WIDER})


def _scored(model):
  """A prompt is read, then a token and its candidates. [B, A, K]."""

  def run(params, tokens, positions, candidates):
    cache = model.apply(
      params, tokens[:, :-1], positions[:, :-1], method="prefill"
    )
    cache = models.cache.grow(cache, tokens.shape[1])
    values, _ = model.apply(
      params,
      tokens[:, -1],
      positions[:, -1],
      candidates,
      cache,
      method="candidate_values",
    )
    return values

  return jax.jit(run)


@pytest.mark.parametrize("variant", ["neox", "gemma2", "gemma3", "olmo2"])
def test_candidates_are_scored_as_on_one_device(variant):
  alone = models.ValueModel(_config(variant), models.HeadConfig("v", 2))
  layout = layout_lib.Layout(mesh_lib.make_mesh((1, 1, 8)))
  shared = layout.sampling(alone)
  num_kv_heads = alone.config.num_kv_heads
  assert shared.config.kv_copies == 8 // num_kv_heads
  assert (num_kv_heads < 8) == (variant != "neox")
  params = decoders.params(alone)
  tokens, _, positions = decoders.left_padded([9, 4, 1], 9, 96)
  candidates = np.arange(15, dtype=np.int32).reshape(3, 5)
  expected = _scored(alone)(params, tokens, positions, candidates)
  assert np.std(expected) > 0.1
  placed = jax.device_put(params, layout.for_decoding(shared))
  with layout.context():
    found = _scored(shared)(
      placed, *layout.place((tokens, positions, candidates))
    )
  np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", ["olmo2"])
def test_gradients_are_those_of_one_device(variant):
  config = dataclasses.replace(_config(variant), num_layers=1)
  config = dataclasses.replace(
    config, sliding_windows=config.sliding_windows and (4,)
  )
  model = models.LanguageModel(config)
  tokens, _, positions = decoders.left_padded([8] * 4, 8, 96)

  def gradient(params, tokens, positions):
    logits = lambda p: model.apply(p, tokens, positions)[0]
    loss = lambda p: jax.nn.logsumexp(logits(p), axis=-1).mean()
    return jax.grad(loss)(params)

  params = decoders.params(model)
  expected = jax.jit(gradient)(params, tokens, positions)
  layout = layout_lib.Layout(mesh_lib.make_mesh((2, 2, 2)))
  placed = jax.device_put(params, layout.for_training(model))
  with layout.context():
    found = jax.jit(gradient)(placed, *layout.place((tokens, positions)))
  close = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-4)
  jax.tree.map(close, found, expected)
