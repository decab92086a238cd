"""Objectives against sequence-by-sequence oracles in numpy."""

import jax
import numpy as np
import pytest
from oracles import decoders
from oracles import distributions as distributions_oracle
from oracles import losses as losses_oracle

from qsharp_jax import data, models
from qsharp_jax.training import objectives

CONFIG = decoders.SMALLEST
ATOMS = (0.0, 0.25, 1.0)
LOSSES = {"bernoulli": 1, "squared_error": 1, "categorical": 3}
LENGTHS = (5, 2, 7, 3)
SWITCHES = (2, 1, 6, 3)  # first labelled token; the last one has none


def value_model(loss, kind="v"):
  model = models.ValueModel(CONFIG, models.HeadConfig(kind, LOSSES[loss]))
  return model, decoders.params(model)


def sequences(seed=0):
  rng = np.random.default_rng(seed)
  return [
    data.Sequence(
      rng.integers(0, 11, length).astype(np.int32),
      np.arange(length) >= switch,
      np.full(length, label, np.float32),
    )
    for length, switch, label in zip(
      LENGTHS, SWITCHES, (1.0, 0.0, 0.3, 1.0), strict=True
    )
  ]


def batch(rows):
  return {k: v for k, v in rows._asdict().items() if k != "sequence_ids"}


def loss_of_token(loss, logits, label):
  if loss == "bernoulli":
    return losses_oracle.bernoulli(float(logits[0]), float(label))
  if loss == "squared_error":
    return (float(logits[0]) - float(label)) ** 2
  return losses_oracle.categorical(
    logits, distributions_oracle.two_hot(label, ATOMS)
  )


def expected(loss, model, params, found):
  """Mean over labelled tokens of a sequence, then sum over sequences."""
  total, count = 0.0, 0
  alone = decoders.right_padded([s.tokens for s in found], time=8)
  logits = jax.device_get(jax.jit(model.apply)(params, *alone))
  for i, s in enumerate(found):
    own = [
      loss_of_token(loss, logits[i, t], s.labels[t])
      for t in range(len(s.tokens))
      if s.mask[t]
    ]
    if own:
      total, count = total + sum(own) / len(own), count + 1
  return total, count


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", ["v", "q"])
def test_value_averages_tokens_then_sequences(loss, kind):
  model, params = value_model(loss, kind)
  objective = jax.jit(objectives.value(model, loss=loss, atoms=ATOMS))
  want = expected(loss, model, params, sequences())
  packed = data.packing.pack(sequences(), length=10)
  assert len(packed.tokens) < len(sequences())
  for rows in (packed, data.packing.pad(sequences(), length=10)):
    got = objective(params, batch(rows))
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_value_reads_labels_from_the_switch_on_only():
  model, params = value_model("bernoulli")
  objective = jax.jit(objectives.value(model, loss="bernoulli"))
  rows = data.packing.pack(sequences(), length=10)
  outside = rows._replace(labels=np.where(rows.mask, rows.labels, np.nan))
  np.testing.assert_array_equal(
    objective(params, batch(rows)), objective(params, batch(outside))
  )
  one = int(np.argmax(rows.mask.ravel()))
  inside = rows._replace(labels=rows.labels.copy())
  inside.labels.ravel()[one] = 0.5
  assert (
    objective(params, batch(rows))[0] != objective(params, batch(inside))[0]
  )


@pytest.mark.parametrize("kind", ["v", "q"])
def test_rows_of_padding_change_neither_loss_nor_gradient(kind):
  model, params = value_model("bernoulli", kind)
  objective = objectives.value(model, loss="bernoulli")
  gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))
  rows = data.packing.pack(sequences(), length=10)
  more = data.Packed(
    *(
      np.concatenate([field, np.full((3, 10), filler, field.dtype)])
      for field, filler in zip(rows, data.packing.PADDING, strict=True)
    )
  )
  alone, padded = (gradient(params, batch(r)) for r in (rows, more))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), alone, padded
  )


def test_a_batch_of_padding_weighs_nothing_and_has_no_nan():
  model, params = value_model("bernoulli")
  objective = objectives.value(model, loss="bernoulli")
  empty = {
    name: np.full((2, 6), filler)
    for name, filler in zip(
      data.Packed._fields, data.packing.PADDING, strict=True
    )
  }
  gradient = jax.jit(jax.value_and_grad(objective, has_aux=True))
  (total, weight), grads = gradient(params, empty)
  assert (float(total), float(weight)) == (0.0, 0.0)
  assert all(not np.any(g) for g in jax.tree.leaves(jax.device_get(grads)))


def test_q_type_values_a_token_by_the_state_before_it():
  model, params = value_model("bernoulli", "q")
  tokens = np.array([[3, 1, 4, 1, 5]], np.int32)
  positions = np.arange(5, dtype=np.int32)[None]
  hidden = model.apply(
    params, tokens, positions, method=lambda m, t, p: m.backbone(t, p)[0]
  )
  table = params["params"]["head"]  # [V, K, D]
  got = model.apply(params, tokens, positions)
  for t in range(1, 5):
    want = np.dot(hidden[0, t - 1], table[tokens[0, t], 0])
    np.testing.assert_allclose(got[0, t, 0], want, atol=1e-6)


def test_language_model_predicts_masked_tokens_of_their_own_sequence():
  model = models.LanguageModel(CONFIG)
  params = decoders.params(model)
  objective = jax.jit(objectives.language_model(model))
  # First tokens are masked in too, but have nothing to be predicted from.
  rows = data.packing.pack(sequences(), length=10)
  rows = rows._replace(mask=rows.mask | (rows.positions == 0))
  got = objective(params, batch(rows))
  total, count = 0.0, 0
  alone = decoders.right_padded([s.tokens for s in sequences()], time=8)
  logits = jax.device_get(jax.jit(model.apply)(params, *alone)[0])
  for i, s in enumerate(sequences()):
    for t in range(1, len(s.tokens)):
      if s.mask[t]:
        probs = losses_oracle.softmax(np.float64(logits[i, t - 1]))
        total, count = total - np.log(probs[s.tokens[t]]), count + 1
  np.testing.assert_allclose(got, (total, count), rtol=1e-5)
