"""The one program beside the host's path: tokens, labels, rows, updates."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from oracles import players

from qsharp_jax import generate, rewards, rollout, sharding, training
from qsharp_jax.generate import reading
from qsharp_jax.ops import token_rewards
from qsharp_jax.pipeline import labelled
from qsharp_jax.rollout import buffer as buffer_lib
from qsharp_jax.rollout import collect, program, trajectories
from qsharp_jax.sharding import mesh as mesh_lib

# Tokens that are paid for; ids are what the text says.
FAVOURITES = (5, 6, 7, 8)
M = players.SAMPLING.max_new_tokens
PROBLEMS = [
  rollout.Problem(f"q{i}", prompt, "", "train")
  for i, prompt in enumerate(players.prompts([5, 1, 8, 3, 6, 2, 4, 7]))
]
PLAN = rollout.Plan(
  num_samples=2, seed=5, eta=0.2, rule="algorithm1", horizon=6
)
T = 8 + M


def count_favourites(texts, answers, split, *, prompts):
  del answers, split, prompts
  counts = [
    sum(text.split().count(str(token)) for token in FAVOURITES)
    for text in texts
  ]
  return [rewards.Grade(None, None, float(count)) for count in counts]


def host_rollouts():
  """What the host's path samples, grades and labels."""
  sampler = rollout.Sampler(
    complete=lambda requests: generate.generate(
      players.policy("v"), players.params("v"), requests, players.SAMPLING
    ),
    batch_size=8,
    decode=lambda ids: " ".join(map(str, ids)),
    grade=count_favourites,
  )
  (batch,) = collect.answer(sampler, [PROBLEMS], PLAN)
  return rollout.Rollouts.of(collect.graded(sampler, PLAN, batch))


def asked():
  """The same problems and controls, for the program."""
  requests = [
    request
    for problem in PROBLEMS
    for request in rollout.problems.requests(problem, PLAN)
  ]
  prompts, positions = reading.right_align(
    [p.prompt for p in PROBLEMS], bucket=8
  )
  controls = reading.make_controls(requests, 2, 0, players.SAMPLING)
  table = np.zeros((len(PROBLEMS), players.VOCAB), np.float32)
  table[:, FAVOURITES] = 1.0
  return trajectories.Problems(prompts, positions, table), controls


def at_end(tokens, lengths, table):
  """The favourites of a whole completion, at its end."""
  paid = token_rewards.by_token(tokens, lengths, table)
  return token_rewards.at_end(tokens, lengths, paid.sum(axis=1))


def run(reward_fn=at_end, place=jax.device_put, params=None):
  buffer = buffer_lib.empty(3, 16, T)
  return program.collect(
    players.policy("v"),
    reward_fn,
    params or players.params("v"),
    buffer,
    *place(asked()),
    num_new_tokens=M,
  )


@pytest.fixture(scope="module")
def host():
  return host_rollouts()


@pytest.fixture(scope="module")
def found():
  return jax.device_get(run())


def test_tokens_and_labels_are_those_of_the_host(host, found):
  _, got = found
  assert [got.tokens[i, :n].tolist() for i, n in enumerate(got.lengths)] == [
    row.tokens.tolist() for row in host
  ]
  assert got.ended.tolist() == host.ended.tolist()
  assert got.first_label.tolist() == host.first_label.tolist()
  np.testing.assert_allclose(got.kl.sum(axis=1), host.kl, rtol=1e-5)
  for i, row in enumerate(host):
    assert (got.labels[i, : got.lengths[i]] == row.label).all()
  assert len(set(host.label)) > 2 and len(set(host.first_label)) > 3


def test_rows_are_those_that_the_host_packs(host, found):
  buffer, _ = found
  rows = {name: table[0] for name, table in buffer.rows.items()}
  for i, row in enumerate(host):
    own = rows["positions"][i] >= 0
    if row.first_label >= len(row.tokens):
      assert not rows["mask"][i].any()
      continue
    packed = labelled.pack(host.take([i]), length=T)
    there = packed.positions[0] >= 0
    for name in ("tokens", "positions", "segments", "mask"):
      expected = getattr(packed, name)[0, there]
      np.testing.assert_array_equal(rows[name][i, own], expected, name)
    # The host labels what is masked out, too.
    expected = packed.labels[packed.mask]
    np.testing.assert_array_equal(rows["labels"][i, rows["mask"][i]], expected)


def test_rewards_of_tokens_are_summed_to_the_end(found):
  _, at_ends = found
  _, got = jax.device_get(run(token_rewards.by_token))
  np.testing.assert_array_equal(got.tokens, at_ends.tokens)
  for i, n in enumerate(got.lengths):
    paid = np.isin(got.tokens[i, :n], FAVOURITES).astype(float)
    expected = np.cumsum(paid[::-1])[::-1]
    np.testing.assert_array_equal(got.labels[i, :n], expected)
    assert not got.labels[i, n:].any() or not paid.any()


def learner():
  """The state and the update of the values."""
  value = players.policy("v").value
  optimizer = optax.adam(0.01)
  update = training.step.make_step(
    training.objectives.value(value, loss="squared_error"), optimizer
  )
  params = jax.tree.map(jnp.array, players.params("v")["value"])
  return training.step.create(params, optimizer), update


def test_one_program_for_all_rounds_learns_what_the_parts_would():
  problems, _ = asked()
  traces = []

  def traced(tokens, lengths, table):
    traces.append(tokens.shape)
    return at_end(tokens, lengths, table)

  state, update = learner()
  other = learner()[0]
  step = program.make_step(
    players.policy("v"),
    traced,
    update,
    num_new_tokens=M,
    num_updates=2,
    batch_size=8,
  )
  buffer = buffer_lib.empty(3, 16, T)
  aggregated = buffer_lib.empty(3, 16, T)
  reference = players.params("v")["reference"]
  draw = jax.jit(functools.partial(buffer_lib.draw, batch_size=8))
  losses = []
  for number in range(4):
    key = jax.random.key(number)
    controls = trajectories.draw_controls(
      key, 16, eta=0.1 + number, horizon=1 + number, num_new_tokens=M
    )
    aggregated, expected = program.collect(
      players.policy("v"),
      at_end,
      {"reference": reference, "value": other.params},
      aggregated,
      problems,
      controls,
      num_new_tokens=M,
    )
    for own in jax.random.split(key, 2):
      other, _ = update(other, draw(aggregated, own))
    state, buffer, found, metrics = step(
      reference, state, buffer, problems, controls, key
    )
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    np.testing.assert_array_equal(found.labels, expected.labels)
    losses += metrics["loss"].tolist()
  assert len(traces) == 1 and step._cache_size() == 1
  assert state.step == 8 and np.isfinite(losses).all()
  close = functools.partial(np.testing.assert_allclose, atol=1e-4)
  jax.tree.map(close, state.params, other.params)
  jax.tree.map(np.testing.assert_array_equal, buffer.rows, aggregated.rows)


@pytest.mark.skipif(jax.device_count() != 8, reason="needs 8 devices")
@pytest.mark.parametrize("shape", [(8, 1, 1), (2, 2, 2)], ids=str)
def test_devices_that_share_the_rows_change_nothing(shape, found):
  layout = sharding.Layout(mesh_lib.make_mesh(shape))
  with layout.context():
    policy = players.policy("v")
    params = jax.device_put(
      players.params("v"),
      {
        "reference": layout.for_decoding(policy.reference),
        "value": layout.for_decoding(policy.value),
      },
    )
    buffer, got = run(place=layout.place, params=params)
    rows = buffer.rows["tokens"]
    num_parts = shape[0] * shape[1]
    assert rows.sharding.shard_shape(rows.shape) == (3, 16 // num_parts, T)
  np.testing.assert_array_equal(got.tokens, found[1].tokens)
  np.testing.assert_array_equal(got.labels, found[1].labels)
  jax.tree.map(np.testing.assert_array_equal, buffer.rows, found[0].rows)
