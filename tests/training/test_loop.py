"""The loop: order, one step late, going on where a state stands."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from qsharp_jax import training


def quadratic(params, batch):
  return jnp.sum((params["w"] - batch["target"]) ** 2), jnp.float32(1)


def make(state=None, *, num_steps=4, seen=None, saved=None):
  optimizer = optax.sgd(0.1)
  if state is None:
    state = training.create({"w": jnp.zeros(2)}, optimizer)

  def batch_at(step, params):
    assert params["w"].shape == (2,)
    if seen is not None:
      seen.append(step)
    return {"target": np.full(2, step, np.float32)}

  save = lambda done, state: None
  if saved is not None:
    save = lambda done, state: saved.append((done, np.array(state.params["w"])))
  return training.Loop(
    state,
    training.make_step(quadratic, optimizer),
    batch_at,
    num_steps=num_steps,
    save=save,
  )


def test_records_come_in_order_with_the_step_they_belong_to():
  seen = []
  records = list(make(seen=seen))
  assert seen == [0, 1, 2, 3]
  assert [r["step"] for r in records] == [1, 2, 3, 4]
  assert all(set(r) == {"step", "loss", "grad_norm", "weight"} for r in records)
  w = 0.0
  for step, record in enumerate(records):
    np.testing.assert_allclose(record["loss"], 2 * (w - step) ** 2, rtol=1e-5)
    w -= 0.1 * 2 * (w - step)


def test_a_record_is_read_when_the_next_step_is_on_its_way():
  seen = []
  records = iter(make(seen=seen))
  assert next(records)["step"] == 1
  assert seen == [0, 1]


@pytest.mark.parametrize("bad", [2, 4])
def test_ends_at_the_first_step_that_is_not_finite(bad):
  seen, saved, read = [], [], []
  loop = make(seen=seen, saved=saved)
  batch_at = loop._batch_at

  def broken(step, params):
    batch = batch_at(step, params)
    return {"target": batch["target"] / (step + 1 != bad)}

  loop._batch_at = broken
  with (
    np.errstate(all="ignore"),
    pytest.raises(training.Diverged, match=f"step {bad} has .*loss inf"),
  ):
    for record in loop:
      read.append(record["step"])
  assert read == list(range(1, bad))
  # It is read when the next step is on its way, and before that is saved.
  assert seen == list(range(min(bad + 1, 4)))
  assert [done for done, _ in saved] == list(range(1, bad + 1))


def test_goes_on_from_the_step_of_its_state():
  whole = make()
  list(whole)
  first = make(num_steps=2)
  list(first)
  seen = []
  second = make(first.state, seen=seen)
  assert [r["step"] for r in second] == [3, 4]
  assert seen == [2, 3]
  np.testing.assert_array_equal(
    whole.state.params["w"], second.state.params["w"]
  )


def test_a_step_without_a_batch_moves_nothing_but_the_count():
  optimizer = optax.adamw(0.1, weight_decay=0.5)
  saved = []

  def run(batches):
    loop = training.Loop(
      training.create({"w": jnp.ones(2)}, optimizer),
      training.make_step(quadratic, optimizer),
      lambda step, params: batches[step],
      num_steps=len(batches),
      save=lambda done, state: saved.append((done, int(state.step))),
    )
    return list(loop), loop.state

  one, two = ({"target": np.full(2, x, np.float32)} for x in (0, 1))
  records, state = run([one, None, None, two, None])
  assert [r["step"] for r in records] == [1, 2, 3, 4, 5]
  assert [r.keys() == {"step"} for r in records] == [0, 1, 1, 0, 1]
  assert saved == [(i, i) for i in range(1, 6)]
  whole, expected = run([one, two])
  assert [r["loss"] for r in whole] == [records[i]["loss"] for i in (0, 3)]
  # Moments and the count of updates, too; the steps differ.
  jax.tree.map(
    np.testing.assert_array_equal, state, expected.replace(step=state.step)
  )


def test_a_finished_state_runs_no_step():
  done = make(num_steps=3)
  list(done)
  seen = []
  assert list(make(done.state, num_steps=3, seen=seen)) == []
  assert seen == []


def test_saves_after_every_step_with_the_number_of_steps_done():
  saved = []
  loop = make(saved=saved)
  list(loop)
  assert [done for done, _ in saved] == [1, 2, 3, 4]
  np.testing.assert_array_equal(saved[-1][1], loop.state.params["w"])
