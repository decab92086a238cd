"""Columns of a report on answers to chat: a judge, other rewards, the words."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qsharp_jax import rollout
from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import coherence, diversity, preference
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.training import embedding

# (rollouts with texts) -> a number for each, such as how well they cohere.
Measure = Callable[[rollout.Rollouts], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Judging:
  """What is said of samples beside their reward.

  Attributes:
    judge: prefers answers, in its own units.
    margin: by which one must be better to win, in units of the judge.
    others: more rewards, by the names of their columns.
    coherence: of answers with their prompts.
  """

  judge: rollout.grading.Reward
  margin: float
  others: Mapping[str, rollout.grading.Reward]
  coherence: Measure
  # The judge's scores of the reference's samples, which all rows are beside.
  held: dict[int, np.ndarray] = dataclasses.field(
    default_factory=dict, repr=False
  )

  def columns(
    self, found: rollout.Rollouts, reference: rollout.Rollouts | None
  ) -> dict[str, Any]:
    """The columns of one row of the report.

    Args:
      found: its samples, with their texts.
      reference: those of the reference to the same questions; None: itself.
    """
    scores = _scores(self.judge, found)
    own = {"judge": float(scores.mean())}
    if reference is None:
      self.held[id(found)] = scores
    else:
      outcome = preference.against(
        by_question(found, scores),
        by_question(reference, self._of_reference(reference)),
        margin=self.margin,
      )
      own |= outcome._asdict()
    for name, reward in self.others.items():
      own[name] = float(_scores(reward, found).mean())
    return own | {
      "diversity": diversity.mean_diversity(found.text),
      "coherence": float(np.mean(self.coherence(found))),
    }

  def _of_reference(self, reference: rollout.Rollouts) -> np.ndarray:
    if id(reference) not in self.held:
      self.held[id(reference)] = _scores(self.judge, reference)
    return self.held[id(reference)]


def by_question(found: rollout.Rollouts, column: np.ndarray) -> np.ndarray:
  """A column as a table, questions in the order of their names. [Q, n]."""
  order = np.lexsort((found.sample, found.question_id))
  num_questions = len(set(found.question_id))
  return np.asarray(column)[order].reshape(num_questions, -1)


def by_hidden_states(run: run_lib.Run) -> Measure:
  """Cosines of the guide's mean hidden states of prompt and answer.

  It needs nothing but the run, and is no more than a stand-in for an encoder
  of sentences.
  """

  def measure(found: rollout.Rollouts) -> np.ndarray:
    params = run.values(run.rounds.num_rounds)

    def embed(column):
      return embedding.mean_hidden(
        run.players.critic.model,
        params,
        [tokens.tolist() for tokens in column],
        length=run.fit.max_length,
        batch_size=run.fit.batch_size,
        layout=run.layout,
      )

    return coherence.cosines(embed(found.prompt), embed(found.tokens))

  return measure


def by_function(
  name: str, function: Callable[[list[str], list[str]], Sequence[float]]
) -> Measure:
  """A user's function of questions and answers.

  Args:
    name: of the function, for errors.
    function: (questions, answers) to as many numbers.
  """

  def measure(found: rollout.Rollouts) -> np.ndarray:
    with errors.foreign(f"the coherence {name} fails", "mend it"):
      values = np.asarray(
        function(found.question.tolist(), found.text.tolist()), float
      )
    if values.shape != (len(found),) or not np.isfinite(values).all():
      raise InputError(
        f"the coherence {name} gave {errors.short(values.tolist(), 60)} for "
        f"{len(found)} answers; expected as many finite numbers"
      )
    return values

  return measure


def _scores(
  reward: rollout.grading.Reward, found: rollout.Rollouts
) -> np.ndarray:
  """Scores of samples; NaN where the reward failed. Shape [S]."""
  columns = zip(found.answer, found.split, found.question, strict=True)
  asked = [rollout.Problem("", (), *strings) for strings in columns]
  grades = rollout.grading.grade_texts(reward.grade, found.text.tolist(), asked)
  for grade in grades:
    if grade.error is not None or not math.isfinite(grade.reward):
      raise InputError(
        f"the judge {reward.identity} gave no score of an answer ("
        f"{grade.error or grade.reward}); expected a finite number of each: "
        "mend it, or choose another --config.alignment.judge"
      )
  return np.array([grade.reward for grade in grades])
