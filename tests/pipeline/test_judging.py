"""Columns of a judge on hand-made rollouts."""

import numpy as np
import pytest
from oracles import rollouts as make

from qsharp_jax import rewards, rollout
from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import judging
from qsharp_jax.rollout.grading import Reward


def by_length(predictions, answers, split="", *, prompts=None):
  """A word is worth 1."""
  del answers, split, prompts
  return [rewards.Grade(None, None, float(len(p.split()))) for p in predictions]


def failing(predictions, answers, split="", *, prompts=None):
  del answers, split, prompts
  return [rewards.Grade(None, None, float("nan")) for _ in predictions]


def samples(*texts):
  """Two samples of each question, in any order."""
  rows = [
    make.rollout(question_id=f"q{i // 2}", sample=i % 2, text=text)
    for i, text in enumerate(texts)
  ]
  return rollout.Rollouts.of(rows[::-1])


def judge(grade=by_length, measure=lambda found: np.ones(len(found)), **others):
  return judging.Judging(Reward(grade, "length"), 0.0, others, measure)


def test_by_hand():
  ours = samples("a b c", "a", "a b", "a b")
  theirs = samples("a b", "a", "a", "a b c")
  found = judge(also=Reward(by_length, "x")).columns(ours, theirs)
  assert found["judge"] == found["also"] == pytest.approx(2.0)
  # 3-2, 3-1 win, 1-2 loses, 1-1 ties; 2-1 win twice, 2-3 lose twice.
  assert found["win"] == pytest.approx(4 / 8)
  assert found["tie"] == pytest.approx(1 / 8)
  assert found["lose"] == pytest.approx(3 / 8)
  assert found["coherence"] == 1.0 and found["diversity"] == 0.0


def test_the_reference_is_compared_with_nothing():
  assert "win" not in judge().columns(samples("a", "b"), None)


def test_a_judge_that_returns_no_number_is_refused():
  with pytest.raises(InputError, match="the judge length gave no score"):
    judge(failing).columns(samples("a", "b"), None)


@pytest.mark.parametrize(
  "function",
  [
    lambda questions, answers: [1.0],
    lambda questions, answers: [float("nan")] * len(answers),
    lambda questions, answers: 1 / 0,
  ],
)
def test_a_coherence_of_the_users_is_checked(function):
  measure = judging.by_function("mine:f", function)
  with pytest.raises(InputError, match="the coherence mine:f"):
    judge(measure=measure).columns(samples("a", "b"), None)


def test_a_coherence_of_the_users_reads_both_texts():
  function = lambda questions, answers: [len(a) for a in answers]
  measure = judging.by_function("mine:f", function)
  found = judge(measure=measure).columns(samples("a", "abc"), None)
  assert found["coherence"] == 2.0
