"""Which two answers to a question become a pair: given, or by rewards."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from absl import logging

from qsharp_jax import data, rollout
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base


def of_preferences(
  preferences: Sequence[rollout.Preference], *, length: int
) -> list[data.pair_packing.Pair]:
  """Given preferences as pairs; those that exceed a row are left out, and said.

  Args:
    preferences: any number above 0.
    length: of a row, which holds both sequences of a pair.

  Raises:
    InputError: none of them fits.
  """
  check_fit(preferences, length=length)
  found = [
    data.pair_packing.Pair(
      data.packing.completion(pair.prompt, pair.chosen),
      data.packing.completion(pair.prompt, pair.rejected),
      1.0,
      0.0,
    )
    for pair in preferences
    if num_tokens(pair) <= length
  ]
  num_left = len(preferences) - len(found)
  if num_left:
    logging.warning(
      "%d of %d preferences exceed a row of %d tokens and are left out",
      *(num_left, len(preferences), length),
    )
  return found


def check_fit(
  preferences: Sequence[rollout.Preference], *, length: int
) -> None:
  """Raises an InputError where no preference fits a row of so many tokens."""
  shortest = min(map(num_tokens, preferences))
  if shortest > length:
    raise InputError(
      f"none of {len(preferences)} preferences fits a row of {length} tokens, "
      f"the shortest takes {shortest}; expected one that does: raise "
      "fit.max_length of the method"
    )


def num_tokens(pair: rollout.Preference) -> int:
  """Tokens of both sequences of a pair."""
  return 2 * len(pair.prompt) + len(pair.chosen) + len(pair.rejected)


class GradedGold(NamedTuple):
  """The gold answer of a question.

  Attributes:
    tokens: with the end token.
    reward: what it earns.
  """

  tokens: Sequence[int]
  reward: float


def of_samples(
  rollouts: Iterable[rollout.Rollout],
  *,
  per_question: int,
  min_margin: float = 0.0,
) -> list[data.pair_packing.Pair]:
  """The best samples of each question beside its worst ones.

  The best is paired with the worst, the second best with the second worst, and
  so on, as long as their rewards differ enough; samples whose reward failed,
  and questions whose samples are all alike, give no pair.

  Args:
    rollouts: graded samples of any number of questions.
    per_question: the most pairs of one question.
    min_margin: the least difference of rewards, in reward units; 0 asks only
      that they differ.
  """
  found = []
  for samples in base.by_question(rollouts).values():
    ranked = sorted(samples, key=lambda r: (-r.label, r.sample))
    for best, worst in list(zip(ranked, ranked[::-1], strict=True))[
      : min(per_question, len(ranked) // 2)
    ]:
      if _is_above(best.label, worst.label, min_margin):
        found.append(
          data.pair_packing.Pair(
            data.packing.completion(best.prompt, best.tokens),
            data.packing.completion(worst.prompt, worst.tokens),
            best.label,
            worst.label,
          )
        )
  return found


def graded_gold(
  job: base.Job, gold: base.Gold, rollouts: rollout.Rollouts
) -> Mapping[str, GradedGold]:
  """Gold answers of the questions with samples, by the question's id.

  Args:
    job: its run grades them, as it grades samples.
    gold: the tokens of an answer.
    rollouts: of the questions.

  Returns:
    Those whose reward did not fail.
  """
  ids = set(rollouts.questions()[0])
  problems = [p for p in job.run.task.train if p.id in ids]
  answers = [gold(problem) for problem in problems]
  rewards, is_graded = job.grade(
    "grades of the gold answers", problems, answers
  )
  return {
    problem.id: GradedGold(tokens, reward)
    for problem, tokens, reward, is_found in zip(
      problems, answers, rewards, is_graded, strict=True
    )
    if is_found
  }


def of_gold(
  rollouts: Iterable[rollout.Rollout],
  gold: Mapping[str, GradedGold],
  *,
  per_question: int,
  min_margin: float = 0.0,
) -> list[data.pair_packing.Pair]:
  """The gold answer of each question beside samples that earned less.

  For tasks with too few samples of a question to differ among themselves.

  Args:
    rollouts: graded samples of any number of questions.
    gold: by the question's id; questions without one give no pair.
    per_question: the most pairs of one question.
    min_margin: as for `of_samples`.
  """
  found = []
  for question, samples in base.by_question(rollouts).items():
    if question not in gold:
      continue
    tokens, reward = gold[question]
    worse = [r for r in samples if _is_above(reward, r.label, min_margin)]
    for rejected in worse[:per_question]:
      found.append(
        data.pair_packing.Pair(
          data.packing.completion(rejected.prompt, tokens),
          data.packing.completion(rejected.prompt, rejected.tokens),
          reward,
          rejected.label,
        )
      )
  return found


def _is_above(chosen: float, rejected: float, min_margin: float) -> bool:
  """Whether a reward is higher, and by the margin."""
  margin = chosen - rejected
  # 0.3 - 0.1 < 0.2 in binary fractions.
  return margin > 0 and (
    margin >= min_margin or math.isclose(margin, min_margin, rel_tol=1e-6)
  )
