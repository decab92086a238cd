"""The step's contract: traced once, on numbers of the agreed types."""

import chex
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import decoders

from qsharp_jax import models, training
from qsharp_jax.training import objectives


def squares(params, batch):
  """Squared distance of one number to those of the batch."""
  errors = params["x"] - batch["y"]
  return jnp.sum(jnp.square(errors)), jnp.float32(errors.size)


def state(optimizer):
  return training.create({"x": jnp.float32(0.5)}, optimizer)


def test_a_step_is_traced_once_for_batches_of_one_shape():
  optimizer = training.adamw(learning_rate=0.1, num_steps=9)
  update = training.make_step(
    chex.assert_max_traces(squares, n=1), optimizer, num_microbatches=2
  )
  now = state(optimizer)
  for seed in range(4):
    rows = np.random.default_rng(seed).normal(size=8).astype(np.float32)
    now, metrics = update(now, {"y": rows})
    chex.assert_tree_all_finite(metrics)
  assert int(now.step) == 4
  # The count is one of traces: another shape is another program.
  with pytest.raises(AssertionError, match="traced"):
    update(now, {"y": np.zeros(6, np.float32)})


@pytest.mark.parametrize("num_microbatches", [1, 2])
def test_steps_equal_those_of_optax_alone(num_microbatches):
  optimizer = optax.sgd(0.25)
  update = training.make_step(
    squares, optimizer, num_microbatches=num_microbatches
  )
  rows = np.array([0.5, 1.0, -1.0, 2.0], np.float32)
  after, _ = update(state(optimizer), {"y": rows})
  # The mean's slope is 2 (x - mean y).
  expected = {"x": jnp.float32(0.5 - 0.25 * 2 * (0.5 - rows.mean()))}
  chex.assert_trees_all_close(after.params, expected, rtol=1e-6)
  chex.assert_trees_all_equal_dtypes(after, state(optimizer))


@pytest.mark.parametrize(
  "wrong",
  [
    lambda params, batch: ((params["x"] - batch["y"]) ** 2, jnp.float32(1)),
    lambda params, batch: (jnp.sum(params["x"] * batch["y"]), jnp.int32(1)),
    lambda params, batch: (jnp.sum(params["x"] * batch["y"]), jnp.ones(2)),
  ],
  ids=["sum", "type", "weight"],
)
def test_an_objective_gives_two_numbers(wrong):
  optimizer = optax.sgd(0.1)
  with pytest.raises((AssertionError, TypeError)):
    training.make_step(wrong, optimizer)(
      state(optimizer), {"y": np.zeros(2, np.float32)}
    )


def rows():
  shape = (2, 4)
  return {
    "tokens": np.ones(shape, np.int32),
    "positions": np.tile(np.arange(4, dtype=np.int32), (2, 1)),
    "segments": np.ones(shape, np.int32),
    "mask": np.ones(shape, bool),
    "labels": np.ones(shape, np.float32),
  }


@pytest.mark.parametrize(
  ("name", "change"),
  [
    ("tokens", lambda x: x.astype(np.float32)),
    ("positions", lambda x: x.astype(np.float32)),
    ("segments", lambda x: x.astype(bool)),
    ("mask", lambda x: x.astype(np.float32)),
    ("labels", lambda x: x.astype(np.int32)),
    ("labels", lambda x: x[:, :-1]),
    ("mask", lambda x: x[0]),
  ],
)
def test_value_training_refuses_rows_of_other_types_and_shapes(name, change):
  model = models.ValueModel(decoders.SMALLEST, models.HeadConfig("v", 1))
  objective = objectives.value(model, loss="bernoulli")
  broken = rows() | {name: change(rows()[name])}
  with pytest.raises(AssertionError, match="Chex"):
    objective(decoders.params(model), broken)
