"""One update: accumulation, clipping, donation, sharded batches."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from oracles import decoders

from qsharp_jax import data, models, training
from qsharp_jax.sharding import mesh as mesh_lib

CONFIG = decoders.SMALLEST


def line(params, batch):
  """Weighted squared errors of a line."""
  errors = batch["x"] @ params["w"] + params["b"] - batch["y"]
  return jnp.sum(batch["weight"] * errors**2), jnp.sum(batch["weight"])


def line_batch(num_rows=8, seed=0):
  rng = np.random.default_rng(seed)
  # Weights that differ between and inside micro-batches, zeros among them.
  weight = np.arange(num_rows) ** 2 % 5
  return {
    "x": rng.normal(size=(num_rows, 3)).astype(np.float32),
    "y": rng.normal(size=num_rows).astype(np.float32),
    "weight": weight.astype(np.float32),
  }


def line_params():
  return {"w": jnp.array([0.5, -1.0, 2.0]), "b": jnp.float32(0.1)}


def test_a_step_of_gradient_descent_by_hand():
  batch = line_batch()
  params = {"w": np.array([0.5, -1.0, 2.0]), "b": 0.1}
  errors = batch["x"] @ params["w"] + params["b"] - batch["y"]
  share = batch["weight"] / batch["weight"].sum()
  grad_w = 2 * (share * errors) @ batch["x"]
  grad_b = 2 * (share * errors).sum()
  optimizer = optax.sgd(0.1)
  update = training.make_step(line, optimizer)
  state, metrics = update(training.create(line_params(), optimizer), batch)
  assert int(state.step) == 1
  np.testing.assert_allclose(
    state.params["w"], params["w"] - 0.1 * grad_w, rtol=1e-5
  )
  np.testing.assert_allclose(
    state.params["b"], params["b"] - 0.1 * grad_b, rtol=1e-5
  )
  np.testing.assert_allclose(
    metrics["loss"], (share * errors**2).sum(), rtol=1e-5
  )
  np.testing.assert_allclose(
    metrics["grad_norm"], np.sqrt((grad_w**2).sum() + grad_b**2), rtol=1e-5
  )
  assert float(metrics["weight"]) == batch["weight"].sum()


@pytest.mark.parametrize("num_microbatches", [2, 4, 8])
def test_accumulation_equals_the_whole_batch(num_microbatches):
  optimizer = optax.sgd(0.1)
  results = []
  for cuts in (1, num_microbatches):
    update = training.make_step(line, optimizer, num_microbatches=cuts)
    state = training.create(line_params(), optimizer)
    for seed in range(3):
      state, metrics = update(state, line_batch(seed=seed))
    results.append((state, metrics))
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), *results
  )


def test_cutting_a_sharded_batch_moves_no_rows():
  mesh = mesh_lib.make_mesh()
  rows = NamedSharding(mesh, PartitionSpec(("data", "fsdp")))
  batch = jax.device_put(line_batch(4 * len(mesh.devices.ravel())), rows)
  params = jax.device_put(line_params(), NamedSharding(mesh, PartitionSpec()))
  optimizer = optax.sgd(0.1)
  update = training.make_step(line, optimizer, num_microbatches=4)
  program = update.lower(training.create(params, optimizer), batch).compile()
  assert "all-reduce" in program.as_text()
  for exchange in ("all-gather", "all-to-all", "collective-permute"):
    assert exchange not in program.as_text()


def test_a_batch_without_weight_gives_no_nan():
  optimizer = optax.sgd(0.1)
  update = training.make_step(line, optimizer)
  batch = line_batch() | {"weight": np.zeros(8, np.float32)}
  state, metrics = update(training.create(line_params(), optimizer), batch)
  np.testing.assert_array_equal(state.params["w"], line_params()["w"])
  assert float(metrics["loss"]) == 0.0


def test_the_state_is_donated():
  optimizer = optax.sgd(0.1)
  old = training.create(line_params(), optimizer)
  training.make_step(line, optimizer)(old, line_batch())
  assert old.params["w"].is_deleted() and old.step.is_deleted()


@pytest.mark.parametrize("kind", ["v", "q"])
def test_a_value_model_learns_a_handful_of_sequences_by_heart(kind):
  model = models.ValueModel(CONFIG, models.HeadConfig(kind, 1))
  rng = np.random.default_rng(0)
  found = [
    data.Sequence(
      rng.integers(0, 11, 6).astype(np.int32),
      np.arange(6) >= 2,
      np.full(6, i % 2, np.float32),
    )
    for i in range(4)
  ]
  rows = data.packing.pack(found, length=12)._asdict()
  rows.pop("sequence_ids")
  optimizer = training.adamw(learning_rate=0.03, num_steps=60)
  update = training.make_step(
    training.objectives.value(model, loss="bernoulli"), optimizer
  )
  params = decoders.params(model)
  params["params"]["head"] = jnp.zeros_like(params["params"]["head"])
  state, losses = training.create(params, optimizer), []
  for _ in range(60):
    state, metrics = update(state, rows)
    losses.append(float(metrics["loss"]))
  # A zero head says one half to everything.
  np.testing.assert_allclose(losses[0], np.log(2), rtol=1e-5)
  assert float(metrics["weight"]) == 4.0  # sequences, not tokens
  assert losses[-1] < 0.02
