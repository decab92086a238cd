"""Grades of sampled texts, and of stored ones again."""

import dataclasses
import os
from collections.abc import Sequence

from qsharp_jax import rewards
from qsharp_jax.rollout import store
from qsharp_jax.rollout.problems import Problem


@dataclasses.dataclass(frozen=True)
class Reward:
  """A reward at work."""

  grade: rewards.GradeFn
  identity: str  # its name, and whatever else decides its grades


def grade_texts(
  grade: rewards.GradeFn, texts: Sequence[str], problems: Sequence[Problem]
) -> list[rewards.Grade]:
  """Grades of texts, one for each of the problems; each split by itself."""
  found: dict[int, rewards.Grade] = {}
  for split in dict.fromkeys(problem.split for problem in problems):
    own = [i for i, problem in enumerate(problems) if problem.split == split]
    grades = grade(
      [texts[i] for i in own],
      [problems[i].answer for i in own],
      split,
      prompts=[problems[i].question for i in own],
    )
    found.update(zip(own, grades, strict=True))
  return [found[i] for i in range(len(problems))]


def grade_again(
  directory: str | os.PathLike,
  grade: rewards.GradeFn,
  reward: str,
  *,
  is_forced: bool = False,
) -> int:
  """Grades stored texts, without sampling, that another reward has graded.

  Args:
    directory: of a store.
    grade: by the reward.
    reward: what grades, as the store notes it.
    is_forced: grades all again, even what this reward has graded.

  Returns:
    How many shards were graded again.
  """

  def grades(rows: store.Rollouts) -> list[rewards.Grade]:
    columns = zip(rows.answer, rows.split, rows.question, strict=True)
    asked = [Problem("", (), *strings) for strings in columns]
    return grade_texts(grade, rows.text.tolist(), asked)

  return store.regrade(directory, grades, reward, is_forced=is_forced)
