"""Grades follow the reward: stored texts that another one graded."""

import pathlib
from collections.abc import Iterable, Sequence

from absl import logging

from qsharp_jax import rewards, rollout
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.sharding import processes


def follow(
  run: run_lib.Run,
  stores: Iterable[pathlib.Path],
  *,
  is_forced: bool = False,
) -> int:
  """Grades stored samples again, without sampling, where the reward changed.

  A reward is another one when its name or, of a function by path, the source
  that it stands in is: a reward that failed can be mended, and the same command
  goes on.

  Args:
    run: with the reward, and the questions of the samples.
    stores: directories of samples.
    is_forced: grades all again, even what this reward has graded.

  Returns:
    How many shards were graded again.
  """
  task = run.task
  problems = {
    problem.id: problem
    for problem in [*task.train, *task.validation, *task.test]
  }

  def grade(found: rollout.Rollouts) -> Sequence[rewards.Grade]:
    asked = [problems[question] for question in found.question_id]
    return rollout.collect.grade_texts(task.grade, found.text.tolist(), asked)

  total = 0
  for store in stores:
    count = rollout.store.regrade(
      store, grade, task.reward, is_forced=is_forced
    )
    if count:
      logging.warning("%s was graded again: %d shards", store, count)
    total += count
  processes.barrier("grading again")
  return total
