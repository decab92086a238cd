"""Rewards in units of round 1: its mean is 0 then, its deviation 1.

Scores of reward models have no scale of their own, and a KL weight means
nothing without one. The statistics are those of the reference's samples, as
graded in round 1; later rounds, evaluations, a second call and the tools take
the same ones.
"""

import dataclasses
import json

import numpy as np
from absl import logging

from qsharp_jax import rewards, rollout
from qsharp_jax.core import files
from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import bindings, paths
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.sharding import processes


@dataclasses.dataclass(frozen=True)
class Statistics:
  """Of the rewards of round 1, in reward units.

  Attributes:
    mean: theirs.
    deviation: their standard deviation, > 0.
  """

  mean: float
  deviation: float

  def applied(self, grade: rewards.Grade) -> rewards.Grade:
    """The grade in units of round 1; a reward that failed stays as it is."""
    if grade.error is not None:
      return grade
    reward = (grade.reward - self.mean) / self.deviation
    return dataclasses.replace(grade, reward=reward)


def settle(run: run_lib.Run) -> run_lib.Run:
  """The run with standardised rewards, its round 1 included.

  Args:
    run: whose round 1 is collected, and whose `Task` grades as the reward does.

  Raises:
    InputError: fewer than two rewards, or equal ones.
  """
  store = run.paths.rollouts(1)
  with run.workdir.stages([bindings.standardise(run)]) as due:
    if due:
      run.follow_reward([store])
      if processes.is_main():
        found = dataclasses.asdict(_measured(run))
        files.replace(run.paths.statistics, json.dumps(found) + "\n")
  statistics = read(run.paths)
  task = dataclasses.replace(
    run.task,
    grade=_standardised(run.task.grade, statistics),
    reward=named(run.task.reward, statistics),
  )
  _relabel(run, task.reward, statistics)
  run = dataclasses.replace(run, task=task)
  run.follow_reward([store])  # what neither has graded
  return run


def read(where: paths.RunPaths) -> Statistics:
  """The statistics of a run that has settled them."""
  found = files.read_json_object(where.statistics)
  return Statistics(float(found["mean"]), float(found["deviation"]))


def named(reward: str, statistics: Statistics) -> str:
  """What grades, as stores note it."""
  return (
    f"{reward} less {statistics.mean!r} over {statistics.deviation!r}".strip()
  )


def restored(
  where: paths.RunPaths, grade: rewards.GradeFn, reward: str
) -> tuple[rewards.GradeFn, str]:
  """A reward as a run that standardises it grades, for tools.

  Args:
    where: the run's places.
    grade: by the reward alone.
    reward: its identity.

  Returns:
    What grades, and its identity; both as they are where nothing is settled.
  """
  if not where.statistics.exists():
    return grade, reward
  statistics = read(where)
  return _standardised(grade, statistics), named(reward, statistics)


def _standardised(
  grade: rewards.GradeFn, statistics: Statistics
) -> rewards.GradeFn:
  def applied(
    predictions: list[str],
    answers: list[str],
    split: str = "",
    *,
    prompts: list[str] | None = None,
  ) -> list[rewards.Grade]:
    found = grade(predictions, answers, split, prompts=prompts)
    return [statistics.applied(x) for x in found]

  return applied


def _measured(run: run_lib.Run) -> Statistics:
  found = rollout.store.read(run.paths.rollouts(1), with_text=False)
  labels = found.label[found.is_graded].astype(np.float64)
  deviation = float(labels.std()) if labels.size else 0.0
  if not deviation > 0:
    raise InputError(
      f"the {labels.size} rewards of round 1 do not differ, so that they have "
      "no scale: check the reward, or set reward_is_standardised to False"
    )
  statistics = Statistics(float(labels.mean()), deviation)
  logging.info("rewards are standardised: %s", statistics)
  return statistics


def _relabel(run: run_lib.Run, reward: str, statistics: Statistics) -> None:
  """Standardises what is stored of round 1, without grading it again."""

  def grades(rows: rollout.Rollouts) -> list[rewards.Grade]:
    return [statistics.applied(_stored(row)) for row in rows]

  rollout.store.regrade(
    run.paths.rollouts(1), grades, reward, only=run.task.reward
  )


def _stored(row: rollout.Rollout) -> rewards.Grade:
  """The grade that a row was given."""
  return rewards.Grade(row.correct, row.extracted, row.label, row.error)
