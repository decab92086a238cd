"""Every baseline trains, saves and resumes, on models of a few parameters."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from oracles import micro_runs

from qsharp_jax import data, pipeline, rewards, training
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base, tuning

FIT = training.Fit(
  learning_rate=0.01,
  weight_decay=0.0,
  batch_size=4,
  num_epochs=1,
  max_length=16,
  checkpoint_every=1,
)
SIZES = {"num_iterations": 2, "prompts_per_iteration": 4, "num_samples": 2}


def small(name, **changes):
  """The defaults of a method, in tiny sizes."""
  how = tuning.DEFAULTS[name]
  changes = {"fit": FIT} | changes
  if hasattr(how, "num_iterations"):
    changes = SIZES | changes
  if name == "rto":
    changes["dpo"] = small("dpo")
  return dataclasses.replace(how, **changes)


def weights(path):
  return jax.device_get(huggingface.load_language_model(path)[1])


def distance(one, other):
  pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
  return max(float(np.abs(a - b).max()) for a, b in pairs)


def train(run, name, how):
  with run.layout.context():
    return base.train(run, name, how, reference=run.players.start)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
  return micro_runs.run(tmp_path_factory.mktemp("baselines"))


@pytest.mark.parametrize("name", tuning.DEFAULTS)
def test_every_baseline_moves_the_reference_and_is_saved(name, shared):
  model = train(shared, name, small(name))
  assert model == shared.workdir.path / "baselines" / name / "model"
  assert 1e-3 < distance(weights(model), weights(shared.players.start)) < 1
  old, new = (huggingface.read_config(p) for p in (shared.players.start, model))
  assert old == new
  assert (model / "tokenizer.json").read_text() == "{}"
  assert not (model.parent / "checkpoints").exists()
  assert f"baseline_{name}" in shared.workdir.seconds()
  if "num_iterations" in dir(small(name)):
    content = json.loads((model.parent / "metrics.json").read_text())
    assert [row["iteration"] for row in content["iterations"]] == [0, 1]
    # The first samples are the reference's own.
    kl = [row["kl"] for row in content["iterations"]]
    assert abs(kl[0]) < 1e-4 < kl[1]


def test_a_policy_ends_where_its_reference_ends(tmp_path):
  run = micro_runs.run(tmp_path)
  assert huggingface.token_ids(run.players.start)["eos_token_id"] == [3, 17]
  (tmp_path / "reference" / "generation_config.json").write_text(
    json.dumps({"eos_token_id": [3, 9]})
  )
  model = train(run, "sft", small("sft"))
  assert huggingface.read_config(model)["eos_token_id"] == [3, 9, 17]
  assert data.end_ids.read(model) == {3, 9, 17}
  listed = json.loads((model / "digests.json").read_text())
  assert set(listed) == {"config.json", "model.safetensors", "tokenizer.json"}


def test_rto_trains_its_dpo_policy_once(shared):
  # It is one of the methods above; here both are done.
  seconds = shared.workdir.seconds()
  train(shared, "rto", small("rto"))
  assert shared.workdir.seconds() == seconds
  assert {"baseline_dpo", "baseline_rto"} <= seconds.keys()


class Stopped(Exception):
  pass


def test_an_interrupted_run_ends_in_the_same_policy(tmp_path, monkeypatch):
  steps, sampled = [], []
  batch_of = data.Loader.batch

  def batch(loader, step):
    steps.append(step)
    if len(steps) == 4:  # the second step of the second iteration
      raise Stopped
    return batch_of(loader, step)

  def grade(texts, answers):
    sampled.append(len(texts))
    return micro_runs.prefers_favourite(texts, answers)

  # Two steps an iteration, of which only the first one samples.
  how = small(
    "ppo", num_iterations=4, fit=dataclasses.replace(FIT, num_epochs=2)
  )
  stopped = micro_runs.run(tmp_path / "stopped", grade)
  monkeypatch.setattr(data.Loader, "batch", batch)
  with pytest.raises(Stopped):
    train(stopped, "ppo", how)
  resumed = train(stopped, "ppo", how)
  # The first iteration was not sampled again, the interrupted one was.
  assert steps == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
  assert sampled == [8] * (2 + 3)
  whole = train(micro_runs.run(tmp_path / "whole"), "ppo", how)
  jax.tree.map(np.testing.assert_array_equal, weights(resumed), weights(whole))
  read = lambda model: (model.parent / "metrics.json").read_text()
  assert read(resumed) == read(whole)


def test_reinforce_learns_to_say_what_is_rewarded(tmp_path):
  how = small(
    "reinforce",
    eta=0.01,
    num_iterations=16,
    prompts_per_iteration=16,
    fit=dataclasses.replace(FIT, learning_rate=0.03, batch_size=32),
  )
  model = train(micro_runs.run(tmp_path), "reinforce", how)
  found = json.loads((model.parent / "metrics.json").read_text())["iterations"]
  first, last = (
    np.mean([row["reward"] for row in rows]) for rows in (found[:3], found[-3:])
  )
  assert first < 0.2 and last > 0.6


def test_failed_rewards_teach_nothing_and_are_counted(tmp_path):
  def fail(texts, answers):
    del answers
    return [rewards.graders.failed("raised") for _ in texts]

  run = micro_runs.run(tmp_path, fail)
  model = train(run, "reinforce", small("reinforce", num_iterations=1))
  assert distance(weights(model), weights(run.players.start)) == 0.0
  (row,) = json.loads((model.parent / "metrics.json").read_text())["iterations"]
  assert row["failed"] == 8


def test_refuses_rollouts_that_teach_nothing(tmp_path, monkeypatch):
  run = micro_runs.run(tmp_path)
  monkeypatch.setattr(
    pipeline.algorithm1, "rollouts", lambda run, round_index: []
  )
  reasons = {
    "sft": "nothing to fine-tune",
    "dpo": "no preference",
    "a_star_po": "no optimal value|has a reward",
  }
  for name, reason in reasons.items():
    with pytest.raises(InputError, match=reason):
      train(run, name, small(name))


def test_refuses_rows_that_are_too_short(tmp_path):
  run = micro_runs.run(tmp_path)
  how = small("ppo", fit=dataclasses.replace(FIT, max_length=6))
  with pytest.raises(InputError, match="3 tokens with max_new_tokens 4.* 7"):
    train(run, "ppo", how)
