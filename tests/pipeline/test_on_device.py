"""Two rounds on the devices beside the same rounds through the host."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import micro_runs
from oracles import rollouts as make
from safetensors.numpy import load_file

from qsharp_jax import pipeline, rollout
from qsharp_jax.ops import token_rewards
from qsharp_jax.pipeline import labelled, on_device
from qsharp_jax.rollout import program, store
from qsharp_jax.training import fit as fit_lib

# So long that no row of training holds two.
PROBLEMS = [
  rollout.Problem(f"q{i}", [7, 8 + i, *[9] * 5], f"gold {i}", split)
  for i, split in enumerate(["train"] * 5 + ["validation", "test"])
]
CHANGES = {"problems": PROBLEMS, "fit": {"max_length": 11}}


def pays_favourite(tokens, lengths, answers):
  """What `micro_runs.has_favourite` says of the text."""
  del answers
  is_there = token_rewards.is_written(tokens, lengths)
  is_there &= tokens == micro_runs.FAVOURITE
  paid = is_there.any(axis=1).astype(jnp.float32)
  return token_rewards.at_end(tokens, lengths, paid)


REWARD = rollout.on_device.Reward(
  pays_favourite, lambda problems: np.zeros(len(problems)), lambda text: None
)


def learning(directory, **changes):
  run = micro_runs.learning(directory, **CHANGES | changes)
  return dataclasses.replace(run, reward=REWARD)


@pytest.fixture(scope="module")
def host(tmp_path_factory):
  directory = tmp_path_factory.mktemp("host")
  run = micro_runs.learning(directory, **CHANGES)
  with run.layout.context():
    pipeline.learn(run)
  return directory / "run"


@pytest.fixture(scope="module")
def device(tmp_path_factory):
  directory = tmp_path_factory.mktemp("device")
  batches, fit = [], fit_lib.fit
  with pytest.MonkeyPatch.context() as patch:

    def noted(objective, params, found, *others):
      batches.append(type(found))
      return fit(objective, params, found, *others)

    patch.setattr(fit_lib, "fit", noted)
    before = program.collect._cache_size()
    run = learning(directory)
    with run.layout.context():
      pipeline.learn(run)
    # Without values, and with those of any later round.
    assert program.collect._cache_size() - before == 2
  assert batches == [on_device.Resident] * 2
  return directory / "run"


@pytest.mark.parametrize("name", ["round_1", "round_2"])
def test_the_store_holds_the_same_rollouts(host, device, name):
  rows = [
    [
      make.plain(row) | {"seconds": 0.0, "kl": 0.0, "kl_filtered": 0.0}
      for row in store.read(d / name / "rollouts")
    ]
    for d in (host, device)
  ]
  assert rows[0] == rows[1]
  assert {row["label"] for row in rows[0]} == {0.0, 1.0}
  firsts = {row["first_label"] for row in rows[0]}
  assert firsts == {0} if name == "round_1" else len(firsts) > 1
  kls = [store.read(d / name / "rollouts").kl for d in (host, device)]
  np.testing.assert_allclose(*kls, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["round_1", "round_2"])
def test_the_values_are_the_same(host, device, name):
  weights = [
    load_file(d / name / "value" / "model.safetensors") for d in (host, device)
  ]
  close = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5)
  jax.tree.map(close, *weights)


def test_without_the_whole_buffer_rows_come_from_the_host(device):
  run = learning(device.parent)
  parts = [rollout.store.read(run.paths.rollouts(i)) for i in (1, 2)]
  split = labelled.split(rollout.Rollouts.concatenate(parts))
  rows = labelled.pack(split.train, length=run.fit.max_length)
  sizes = [len(part) for part in parts]
  found = run.aggregate.epochs(split, rows, run.fit, sizes)
  assert type(found) is fit_lib.Epochs
  # A round that was resumed has not all of its batches there.
  run.aggregate.close(
    run.aggregate.open(num_batches=2, num_rounds=2, num_rows=16, length=11)
  )
  found = run.aggregate.epochs(split, rows, run.fit, sizes)
  assert type(found) is fit_lib.Epochs
