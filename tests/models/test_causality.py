import dataclasses

import jax
import numpy as np
import pytest
from oracles import decoders

from qsharp_jax import models

TIME = 14


def _influence(config, segments=None):
  """influence[t, s]: does hidden state t depend on the token at s?"""
  backbone = models.Backbone(config)
  params = decoders.params(backbone)
  tokens = np.arange(TIME, dtype=np.int32)[None]  # one table row a position
  positions = tokens

  def row_gradient(cotangent):
    def hidden(table):
      filled = {"params": params["params"] | {"embedding": table}}
      return backbone.apply(filled, tokens, positions, segments=segments)[0][0]

    return jax.vjp(hidden, params["params"]["embedding"])[1](cotangent)[0]

  # A random direction at each position: no dependence cancels in it.
  directions = np.random.default_rng(0).normal(size=(TIME, config.width))
  cotangents = np.eye(TIME)[:, :, None] * directions[:, None]
  gradients = jax.jit(jax.vmap(row_gradient))(cotangents.astype(np.float32))
  return np.abs(np.asarray(gradients)).max(-1)[:, :TIME] > 0


@pytest.mark.parametrize("variant", ["gpt2", "llama31", "qwen2", "qwen3"])
def test_gradient_reaches_the_past_and_only_the_past(variant):
  got = _influence(decoders.config(variant))
  np.testing.assert_array_equal(got, np.tri(TIME, dtype=bool))


def test_gradient_reaches_as_far_as_the_windows_of_all_layers():
  config = decoders.config("mistral")  # two layers, window 5
  got = _influence(config)
  distance = np.arange(TIME)[:, None] - np.arange(TIME)
  np.testing.assert_array_equal(got, (distance >= 0) & (distance <= 2 * 4))
  one = dataclasses.replace(config, sliding_windows=(None, 5))
  np.testing.assert_array_equal(_influence(one), np.tri(TIME, dtype=bool))


def test_gradient_stays_inside_a_segment():
  segments = np.array([[1] * 6 + [2] * 5 + [0] * 3])
  got = _influence(decoders.config("llama"), segments)
  same = segments.T == segments
  np.testing.assert_array_equal(got, np.tri(TIME, dtype=bool) & same)


def test_packed_sequences_equal_separate_ones():
  config = decoders.config("llama31")
  model = models.LanguageModel(config)
  params = decoders.params(model)
  first, second = np.arange(6, dtype=np.int32), np.arange(9, 14, dtype=np.int32)
  apply = jax.jit(model.apply)
  packed, _ = apply(
    params,
    np.concatenate([first, second])[None],
    np.concatenate([np.arange(6), np.arange(5)])[None],
    segments=np.array([[1] * 6 + [2] * 5]),
  )
  alone, _ = apply(params, *decoders.right_padded([first, second], 11))
  close = lambda a, b: np.testing.assert_allclose(a, b, atol=3e-5, rtol=1e-5)
  close(packed[0, :6], alone[0, :6])
  close(packed[0, 6:], alone[1, :5])


def test_recomputed_activations_give_the_same_gradient():
  config = decoders.config("llama")
  tokens = np.arange(TIME, dtype=np.int32)[None]
  params = decoders.params(models.LanguageModel(config))

  def gradient(remat):
    model = models.LanguageModel(dataclasses.replace(config, remat=remat))
    loss = lambda p: jax.nn.logsumexp(model.apply(p, tokens, tokens)[0]).sum()
    return jax.jit(jax.grad(loss))(params)

  close = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-4)
  jax.tree.map(close, gradient(True), gradient(False))
