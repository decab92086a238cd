"""Value predictions and their metrics, against direct computation."""

import jax
import numpy as np
import pytest
from oracles import decoders
from oracles import losses as losses_oracle

from qsharp_jax import data, models, sharding, training
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


@pytest.mark.parametrize("loss", ["bernoulli", "categorical"])
def test_assesses_distributions_as_the_functions_of_ops_do(loss, layout):
  found = critic(loss)
  params = decoders.params(found.model)
  rows = data.packing.pack(sequences(), length=9)
  with layout.context():
    got = value_model.assess(found, params, rows, batch_size=8, layout=layout)
    means, losses = value_model.predict(
      found, params, rows, batch_size=8, layout=layout
    )
  np.testing.assert_allclose(got.mean, means, atol=1e-6)
  np.testing.assert_allclose(got.loss, losses, atol=1e-6)
  logits = alone(found, params)
  atoms = (0.0, 1.0) if loss == "bernoulli" else ATOMS
  for row, t in np.argwhere(rows.mask):
    own = np.float64(logits[rows.sequence_ids[row, t]][rows.positions[row, t]])
    if loss == "bernoulli":
      own = np.array([0.0, own[0]])
    cdf = np.cumsum(losses_oracle.softmax(own))
    label = rows.labels[row, t]
    steps = np.diff(atoms)
    is_reached = np.array(atoms[:-1]) >= label
    score = (steps * (cdf[:-1] - is_reached) ** 2).sum()
    np.testing.assert_allclose(got.crps[row, t], score, atol=1e-5)
    at = int(np.argmax(got.pit_weights[row, t]))
    k = atoms.index(label)
    np.testing.assert_allclose(got.pit_upper[row, t, at], cdf[k], atol=1e-5)
  flat = got.at(rows.mask)
  assert flat.crps.shape == (rows.mask.sum(),)


def test_means_alone_have_no_distribution_to_assess(layout):
  found = critic("squared_error")
  params = decoders.params(found.model)
  rows = data.packing.pack(sequences(), length=9)
  with layout.context():
    got = value_model.assess(found, params, rows, batch_size=8, layout=layout)
  assert got.crps is None and got.pit_weights is None
