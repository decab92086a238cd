"""Sampling while training: resumption, failures, sizes, means."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from oracles import finetuning as oracle
from oracles import micro_runs

from qsharp_jax import data, rewards
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import on_policy


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
  settings = oracle.small(
    "ppo", num_iterations=4, fit=dataclasses.replace(oracle.FIT, num_epochs=2)
  )
  stopped = micro_runs.run(tmp_path / "stopped", grade)
  monkeypatch.setattr(data.Loader, "batch", batch)
  with pytest.raises(Stopped):
    oracle.train(stopped, "ppo", settings)
  resumed = oracle.train(stopped, "ppo", settings)
  # The first iteration was not sampled again, the interrupted one was.
  assert steps == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
  assert sampled == [8] * (2 + 3)
  whole = oracle.train(micro_runs.run(tmp_path / "whole"), "ppo", settings)
  jax.tree.map(
    np.testing.assert_array_equal,
    oracle.weights(resumed),
    oracle.weights(whole),
  )
  read = lambda model: (model.parent / "metrics.json").read_text()
  assert read(resumed) == read(whole)


def test_failed_rewards_teach_nothing_and_are_counted(tmp_path):
  def fail(texts, answers):
    del answers
    return [rewards.graders.failed("raised") for _ in texts]

  run = micro_runs.run(tmp_path, fail)
  settings = oracle.small("reinforce", num_iterations=1)
  model = oracle.train(run, "reinforce", settings)
  start = oracle.weights(run.players.start)
  assert oracle.distance(oracle.weights(model), start) == 0.0
  (row,) = json.loads((model.parent / "metrics.json").read_text())["iterations"]
  assert row["failed"] == 8


def test_refuses_rows_that_are_too_short(tmp_path):
  run = micro_runs.run(tmp_path)
  fit = dataclasses.replace(oracle.FIT, max_length=6)
  with pytest.raises(InputError, match="3 tokens with max_new_tokens 4.* 7"):
    oracle.train(run, "ppo", oracle.small("ppo", fit=fit))


def test_summary_counts_failures_apart():
  found = on_policy.summary(oracle.experience())
  np.testing.assert_allclose(found.pop("kl"), 0.1 * 2.5, rtol=1e-5)
  assert found == {"reward": 0.5, "length": 2.5, "failed": 1}
