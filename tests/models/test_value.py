"""What a head reads: its own token, the one before, or a log-probability."""

import dataclasses

import jax
import numpy as np
import pytest
from oracles import decoders

from qsharp_jax import models

CONFIG = dataclasses.replace(decoders.SMALLEST, tied_embeddings=True)
TOKENS = np.array([[3, 1, 4, 1], [9, 2, 0, 0]], np.int32)
POSITIONS = np.array([[0, 1, 2, 3], [0, 1, -1, -1]], np.int32)
REAL = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]


def values_of(head, params):
  model = models.ValueModel(CONFIG, head)
  return np.asarray(jax.jit(model.apply)(params, TOKENS, POSITIONS))


def hidden_of(params):
  """The backbone's hidden states, in float64."""
  own = {"params": params["params"]["backbone"]}
  return np.float64(models.Backbone(CONFIG).apply(own, TOKENS, POSITIONS)[0])


def drawn(head):
  params = decoders.params(models.ValueModel(CONFIG, head))
  return params, np.float64(params["params"]["head"])


@pytest.mark.parametrize("num_atoms", [1, 3])
def test_a_v_head_reads_the_token_itself(num_atoms):
  head = models.HeadConfig("v", num_atoms)
  params, table = drawn(head)
  found, hidden = values_of(head, params), hidden_of(params)
  assert found.shape == (2, 4, num_atoms) and found.dtype == np.float32
  for i, t in REAL:
    np.testing.assert_allclose(found[i, t], table[0] @ hidden[i, t], rtol=1e-4)


def test_a_q_head_reads_the_token_before():
  head = models.HeadConfig("q", 2)
  params, table = drawn(head)
  found, hidden = values_of(head, params), hidden_of(params)
  for i, t in REAL:
    before = hidden[i, t - 1] if t else np.zeros(CONFIG.width)
    wanted = table[TOKENS[i, t]] @ before
    np.testing.assert_allclose(found[i, t], wanted, rtol=1e-4, atol=1e-6)


def test_a_predicting_head_also_reads_what_the_lower_layers_foretold():
  head = models.HeadConfig("v", 2, predicting_layers=1)
  params, table = drawn(head)
  found, hidden = values_of(head, params), hidden_of(params)
  # The lower layers are all there are: a language model of the same tables.
  below = dict(params["params"]["backbone"])
  below["final_norm"] = params["params"]["predicting_norm"]
  reference = {"params": {"backbone": below}}
  model = models.LanguageModel(CONFIG)
  logits = np.float64(model.apply(reference, TOKENS, POSITIONS)[0])
  for i, t in REAL:
    told = 0.0  # nothing foretells the first token
    if t:
      row = logits[i, t - 1]
      told = row[TOKENS[i, t]] - np.log(np.exp(row).sum())
    read = [*hidden[i, t], told * np.sqrt(CONFIG.width)]
    np.testing.assert_allclose(
      found[i, t], table[0] @ read, rtol=2e-4, atol=1e-5
    )


def test_no_gradient_passes_through_what_was_foretold():
  head = models.HeadConfig("v", 1, predicting_layers=1)
  params, _ = drawn(head)
  model = models.ValueModel(CONFIG, head)
  loss = lambda p: model.apply(p, TOKENS, POSITIONS).sum()
  gradient = jax.jit(jax.grad(loss))(params)["params"]
  assert not np.any(gradient["predicting_norm"]["scale"])
  assert np.any(gradient["head"]) and np.any(gradient["backbone"]["embedding"])


def test_a_new_head_guides_nobody():
  model = models.ValueModel(CONFIG, models.HeadConfig("v", 3))
  params = model.init(jax.random.key(0), TOKENS, POSITIONS)
  assert not np.any(model.apply(params, TOKENS, POSITIONS))


def test_the_first_token_of_a_packed_sequence_was_not_foretold():
  head = models.HeadConfig("v", 1, predicting_layers=1)
  params, _ = drawn(head)
  model = models.ValueModel(CONFIG, head)
  positions = np.array([[0, 1, 0, 1]], np.int32)
  segments = np.array([[1, 1, 2, 2]], np.int32)
  packed = model.apply(params, TOKENS[:1], positions, segments)[0]
  for start in (0, 2):
    alone = model.apply(params, TOKENS[:1, start : start + 2], positions[:, :2])
    np.testing.assert_allclose(
      packed[start : start + 2], alone[0], rtol=1e-4, atol=1e-6
    )
