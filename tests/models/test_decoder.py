"""A model without layers, by hand; and the two heights of one with layers."""

import dataclasses

import jax
import numpy as np
import pytest
from oracles import decoders

from qsharp_jax import models

BARE = dataclasses.replace(decoders.SMALLEST, num_layers=0)
TOKENS = np.array([[3, 1, 4, 1, 5], [9, 2, 6, 0, 0]], np.int32)
POSITIONS = np.array([[0, 1, 2, 3, 4], [0, 1, 2, -1, -1]], np.int32)


def tables(params):
  return {
    name: np.float64(x)
    for name, x in {**params["params"], **params["params"]["backbone"]}.items()
    if not isinstance(x, dict)
  }


def expected(config, params):
  """Logits of a model without layers, position by position."""
  own = tables(params)
  scale = np.float64(params["params"]["backbone"]["final_norm"]["scale"])
  logits = np.zeros((*TOKENS.shape, config.vocab_size))
  for i, t in np.ndindex(TOKENS.shape):
    x = own["embedding"][TOKENS[i, t]]
    if config.rope_theta is None:
      x = x + own["positions"][max(POSITIONS[i, t], 0)]
    if config.scaled_embeddings:
      x = x * np.sqrt(config.width)
    x = x / np.sqrt((x**2).mean() + config.norm_eps) * scale
    found = own["embedding" if config.tied_embeddings else "unembedding"] @ x
    if config.logit_softcap is not None:
      found = config.logit_softcap * np.tanh(found / config.logit_softcap)
    logits[i, t] = found
  return logits


@pytest.mark.parametrize(
  "changes",
  [
    {},
    {"tied_embeddings": True},
    {"rope_theta": None},
    {"scaled_embeddings": True, "tied_embeddings": True},
    {"logit_softcap": 0.5},
  ],
  ids=str,
)
def test_without_layers_by_hand(changes):
  config = dataclasses.replace(BARE, **changes)
  model = models.LanguageModel(config)
  params = decoders.params(model)
  logits, cache = model.apply(params, TOKENS, POSITIONS)
  assert logits.dtype == np.float32 and cache is None
  np.testing.assert_allclose(
    logits, expected(config, params), rtol=2e-5, atol=1e-6
  )


def test_the_lower_height_is_where_a_shallower_model_ends():
  deep = models.Backbone(dataclasses.replace(BARE, num_layers=2))
  shallow = models.Backbone(dataclasses.replace(BARE, num_layers=1))
  params = decoders.params(deep)
  own = {k: v for k, v in params["params"].items() if k != "layers_1"}

  def levels(model, params):
    run = lambda p: model.apply(p, TOKENS, POSITIONS, below=1, method="levels")
    return jax.device_get(jax.jit(run)(params)[0])

  lower, top = levels(deep, params)
  other, norm_of_other = levels(shallow, {"params": own})
  np.testing.assert_allclose(lower, other, rtol=1e-5, atol=1e-6)
  scale = np.asarray(own["final_norm"]["scale"])
  root = np.sqrt(np.square(lower).mean(-1, keepdims=True) + BARE.norm_eps)
  np.testing.assert_allclose(lower / root * scale, norm_of_other, rtol=1e-4)
  assert np.abs(top - norm_of_other).max() > 1e-3
