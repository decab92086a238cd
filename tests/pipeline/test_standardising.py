"""Rewards in the units of round 1."""

import dataclasses

import numpy as np
import pytest
from oracles import micro_runs

from qsharp_jax import rewards
from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import algorithm1, standardising
from qsharp_jax.rollout import shard_files, store

SCALE = 40.0


class Lengths:
  """Grades by the number of tokens, and counts the texts that it was asked."""

  def __init__(self, scale=SCALE):
    self.scale, self.num_asked = scale, 0

  def __call__(self, texts, answers, split="", *, prompts=None):
    del answers, split, prompts
    self.num_asked += len(texts)
    return [rewards.Grade(None, None, self.scale * len(t)) for t in texts]


def collected(directory, grade, *, reward="lengths", is_standardised=True):
  task = {
    "grade": grade,
    "reward": reward,
    "is_standardised": is_standardised,
  }
  run = micro_runs.learning(directory, task=task)
  algorithm1.collect(run, 1)
  return run


def labels(run):
  return store.read(run.paths.rollouts(1), with_text=False).label


def test_round_1_gets_mean_0_and_deviation_1_without_new_grades(tmp_path):
  grade = Lengths()
  run = collected(tmp_path, grade)
  before, asked = labels(run), grade.num_asked
  assert asked == len(before) and before.std() > 0
  settled = standardising.settle(run)
  after = labels(run)
  assert grade.num_asked == asked
  np.testing.assert_allclose(after, (before - before.mean()) / before.std())
  assert abs(after.mean()) < 1e-12 and after.std() == pytest.approx(1.0)
  # From here on the run grades so itself.
  (found,) = settled.task.grade(["1 2 3"], [""])
  expected = (SCALE * 5 - before.mean()) / before.std()
  assert found.reward == pytest.approx(expected)
  assert settled.task.reward != run.task.reward
  # The same command again: nothing is graded, nothing changes.
  again = collected(tmp_path, grade)
  assert standardising.settle(again).task.reward == settled.task.reward
  assert grade.num_asked == asked + 1
  np.testing.assert_array_equal(labels(run), after)


def test_an_interrupted_relabelling_goes_on(tmp_path, monkeypatch):
  grade = Lengths()
  run = collected(tmp_path / "whole", grade)
  expected = labels(standardising.settle(run))
  run = collected(tmp_path / "cut", grade)
  write, num_written = shard_files.write, []

  def interrupted(path, *rest):
    if num_written:
      raise KeyboardInterrupt
    num_written.append(path)
    write(path, *rest)

  monkeypatch.setattr(shard_files, "write", interrupted)
  with pytest.raises(KeyboardInterrupt):
    standardising.settle(run)
  monkeypatch.undo()
  asked = grade.num_asked
  standardising.settle(collected(tmp_path / "cut", grade))
  np.testing.assert_array_equal(labels(run), expected)
  assert grade.num_asked == asked


def test_another_reward_gets_its_own_statistics(tmp_path):
  run = collected(tmp_path, Lengths())
  first = standardising.settle(run)
  expected = labels(run)
  other = collected(tmp_path, Lengths(-3.0), reward="others")
  second = standardising.settle(other)
  np.testing.assert_allclose(labels(run), -expected)
  assert second.task.reward != first.task.reward
  # And back to rewards as they are.
  plain = collected(tmp_path, Lengths(), is_standardised=False)
  np.testing.assert_allclose(labels(plain) % SCALE, 0)


def test_failed_rewards_take_no_part(tmp_path):
  def grade(texts, answers, split="", *, prompts=None):
    found = Lengths()(texts, answers)
    found[0] = dataclasses.replace(found[0], reward=0.0, error="broken")
    return found

  run = collected(tmp_path, grade)
  before = store.read(run.paths.rollouts(1), with_text=False)
  assert 0 < (~before.is_graded).sum() < len(before)
  standardising.settle(run)
  after = store.read(run.paths.rollouts(1), with_text=False)
  np.testing.assert_array_equal(after.is_graded, before.is_graded)
  assert after.label[after.is_graded].mean() == pytest.approx(0, abs=1e-12)
  assert not after.label[~after.is_graded].any()


def test_rewards_that_do_not_differ_have_no_scale(tmp_path):
  run = collected(tmp_path, Lengths(0.0))
  with pytest.raises(InputError, match="do not differ") as error:
    standardising.settle(run)
  assert "\n" not in str(error.value)


def test_tools_take_the_runs_statistics(tmp_path):
  run = collected(tmp_path, Lengths())
  grade, name = standardising.restored(run.paths, Lengths(), "lengths")
  assert name == "lengths" and grade(["1"], [""])[0].reward == SCALE
  settled = standardising.settle(run)
  grade, name = standardising.restored(run.paths, Lengths(), "lengths")
  assert name == settled.task.reward
  assert grade(["1 2"], [""]) == settled.task.grade(["1 2"], [""])
