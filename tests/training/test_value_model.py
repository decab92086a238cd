"""Value predictions and their metrics, against direct computation."""

import jax
import numpy as np
import pytest
from oracles import decoders
from oracles import losses as losses_oracle

from qsharp_jax import data, models, sharding, training
from qsharp_jax.evaluation import value_metrics
from qsharp_jax.sharding import mesh as mesh_lib
from qsharp_jax.training import value_model

CONFIG = decoders.SMALLEST
ATOMS = (0.0, 0.5, 1.0)
LENGTHS = (4, 2, 6, 3, 5)


@pytest.fixture(scope="module")
def layout():
  return sharding.Layout(mesh_lib.make_mesh())


def critic(loss):
  head = models.HeadConfig("v", 3 if loss == "categorical" else 1)
  return training.Critic(models.ValueModel(CONFIG, head), loss, ATOMS)


def sequences():
  rng = np.random.default_rng(0)
  return [
    data.Sequence(
      rng.integers(0, 11, length).astype(np.int32),
      np.arange(length) >= 1,
      np.full(length, i % 2, np.float32),
    )
    for i, length in enumerate(LENGTHS)
  ]


def alone(found, params):
  """Value logits of each sequence by itself: list of [n, K]."""
  rows = decoders.right_padded([s.tokens for s in sequences()], time=8)
  logits = jax.device_get(jax.jit(found.model.apply)(params, *rows))
  return [own[:n] for own, n in zip(logits, LENGTHS, strict=True)]


def mean(loss, logits):
  if loss == "bernoulli":
    return 1 / (1 + np.exp(-logits[0]))
  if loss == "squared_error":
    return logits[0]
  return np.dot(losses_oracle.softmax(np.float64(logits)), ATOMS)


@pytest.mark.parametrize("loss", ["bernoulli", "squared_error", "categorical"])
def test_predicts_every_token_as_if_its_sequence_were_alone(loss, layout):
  found = critic(loss)
  params = decoders.params(found.model)
  rows = data.packing.pack(sequences(), length=9)
  with layout.context():
    means, losses = value_model.predict(
      found, params, rows, batch_size=8, layout=layout
    )
  assert means.shape == losses.shape == rows.tokens.shape
  logits = alone(found, params)
  for slot in np.argwhere(rows.sequence_ids >= 0):
    row, t = slot
    own = logits[rows.sequence_ids[row, t]][rows.positions[row, t]]
    np.testing.assert_allclose(means[row, t], mean(loss, own), atol=1e-5)
  if loss == "bernoulli":
    row, t = np.argwhere(rows.mask)[3]
    own = logits[rows.sequence_ids[row, t]][rows.positions[row, t]]
    want = losses_oracle.bernoulli(float(own[0]), float(rows.labels[row, t]))
    np.testing.assert_allclose(losses[row, t], want, rtol=1e-5)


def test_the_batch_size_changes_nothing(layout):
  found = critic("bernoulli")
  params = decoders.params(found.model)
  rows = data.packing.pad(sequences() * 4, length=9)
  with layout.context():
    small, large = (
      value_model.predict(found, params, rows, batch_size=size, layout=layout)
      for size in (8, 24)
    )
  np.testing.assert_allclose(small[0], large[0], atol=1e-6)
  np.testing.assert_allclose(small[1], large[1], atol=1e-6)


def test_final_values_are_read_at_the_last_token_in_the_given_order(layout):
  found = critic("bernoulli")
  params = decoders.params(found.model)
  with layout.context():
    got = value_model.final_values(
      found,
      params,
      [s.tokens for s in sequences()],
      length=9,
      batch_size=8,
      layout=layout,
    )
  want = [mean("bernoulli", own[-1]) for own in alone(found, params)]
  np.testing.assert_allclose(got, want, atol=1e-5)


def test_metrics_by_hand():
  rows = data.packing.pad(
    [
      data.Sequence(
        np.arange(4, dtype=np.int32),
        np.array([False, True, True, True]),
        np.array([1, 1, 0, 1], np.float32),
      )
    ],
    length=5,
  )
  predictions = np.array([[0.0, 0.9, 0.6, 0.3, 0.7]], np.float32)
  losses = np.array([[9.0, 1.0, 2.0, 6.0, 9.0]], np.float32)
  got = value_metrics.summarise(predictions, losses, rows, [1])
  assert got["tokens"] == 3
  np.testing.assert_allclose(got["loss"], 3.0)
  # Successes at 0.9 and 0.3, the failure at 0.6: one pair of two is in order.
  np.testing.assert_allclose(got["roc_auc"], 0.5)
  errors = np.array([1, 0, 1]) - np.array([0.9, 0.6, 0.3])
  np.testing.assert_allclose(
    got["explained_variance"], 1 - np.var(errors) / np.var([1, 0, 1]), rtol=1e-5
  )
  # Each in a bin of its own.
  np.testing.assert_allclose(
    got["calibration_error"], np.mean([0.1, 0.6, 0.7]), rtol=1e-5
  )
