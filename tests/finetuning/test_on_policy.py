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
from qsharp_jax.finetuning import base


class Stopped(Exception):
  pass


@pytest.mark.parametrize("batch_size", [4, 1])
def test_an_interrupted_run_ends_in_the_same_policy(
  batch_size, tmp_path, monkeypatch
):
  steps, sampled = [], []
  batch_of = data.Loader.batch

  def batch(loader, step):
    steps.append(step)
    if len(sampled) == 2 and step == 1:  # in the second iteration
      raise Stopped
    return batch_of(loader, step)

  def grade(texts, answers, split, *, prompts):
    sampled.append(len(texts))
    found = micro_runs.prefers_favourite(texts, answers)
    return found[:4] + [rewards.graders.failed("raised")] * 4

  # Two steps an iteration, of which only the first one samples; or eight, of
  # which those that four failed samples would fill are skipped.
  fit = dataclasses.replace(oracle.FIT, num_epochs=2, batch_size=batch_size)
  settings = oracle.small("ppo", num_iterations=4, fit=fit)
  stopped = micro_runs.run(tmp_path / "stopped", grade)
  monkeypatch.setattr(data.Loader, "batch", batch)
  with pytest.raises(Stopped):
    oracle.train(stopped, "ppo", settings)
  resumed = oracle.train(stopped, "ppo", settings)
  # The first iteration was not sampled again, the interrupted one was.
  if batch_size == 4:
    assert steps == [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
  else:
    assert steps.count(0) == 5 and max(steps) < 7
  assert sampled == [8] * (2 + 3)
  other = micro_runs.run(tmp_path / "whole", grade)
  whole = oracle.train(other, "ppo", settings)
  jax.tree.map(
    np.testing.assert_array_equal,
    oracle.weights(resumed),
    oracle.weights(whole),
  )
  read = lambda model: (model.parent / "metrics.json").read_text()
  assert read(resumed) == read(whole)


def test_failed_rewards_teach_nothing_and_are_counted(tmp_path):
  def fail(texts, answers, split, *, prompts):
    del answers, split, prompts
    return [rewards.graders.failed("raised") for _ in texts]

  run = micro_runs.run(tmp_path, fail)
  # Weight decay would move the weights if a step were taken.
  fit = dataclasses.replace(oracle.FIT, weight_decay=0.1)
  settings = oracle.small("rloo", num_iterations=1, fit=fit)
  model = oracle.train(run, "rloo", settings)
  start = oracle.weights(run.players.start)
  assert oracle.distance(oracle.weights(model), start) == 0.0
  (row,) = json.loads((model.parent / "metrics.json").read_text())["iterations"]
  assert row["failed"] == 8


@pytest.mark.parametrize("num_failed", [0, 1, 4, 5, 8])
def test_steps_hold_the_graded_samples_alone(num_failed, tmp_path):
  def grade(texts, answers, split, *, prompts):
    found = micro_runs.prefers_favourite(texts, answers)
    failed = [rewards.graders.failed("raised")] * num_failed
    return failed + found[num_failed:]

  # Rows for the longest sample: eight at most, in three steps an epoch.
  fit = dataclasses.replace(
    oracle.FIT, num_epochs=2, batch_size=3, max_length=7
  )
  run = micro_runs.run(tmp_path, grade)
  job = base.Job(run, tmp_path)
  with run.layout.context():
    recipe = oracle.small("rloo", fit=fit).recipe(job)
    batches = recipe.batches
    assert (batches.block, batches.num_steps) == (6, 12)
    found = [batches(step, recipe.params) for step in range(batches.block)]
  steps = [batch for batch in found if batch is not None]
  assert found[len(steps) :] == [None] * (6 - len(steps))
  is_row = [batch["mask"].any(axis=1) for batch in steps]
  num_rows = sum(rows.sum() for rows in is_row) // 2
  assert len(steps) == 2 * -(-num_rows // 3)
  for epoch in (0, 1):
    own = slice(epoch * len(steps) // 2, (epoch + 1) * len(steps) // 2)
    sizes = [rows.sum() for rows in is_row[own]]
    assert sum(sizes) == num_rows and np.ptp(sizes or [0]) <= 1
    ids = [
      np.unique(batch["sequence_ids"][batch["mask"]]) for batch in steps[own]
    ]
    assert sorted(np.concatenate([[], *ids])) == list(range(8 - num_failed))
  for batch, rows in zip(steps, is_row, strict=True):
    assert (batch["positions"][~rows] == -1).all()


def test_refuses_rows_that_are_too_short(tmp_path):
  run = micro_runs.run(tmp_path)
  fit = dataclasses.replace(oracle.FIT, max_length=6)
  with pytest.raises(InputError, match="3 tokens with max_new_tokens 4.* 7"):
    oracle.train(run, "ppo", oracle.small("ppo", fit=fit))
