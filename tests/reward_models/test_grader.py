"""Reward models in the place of a reward."""

import numpy as np
import pytest
from oracles import micro_runs
from oracles import reward_models as make

from qsharp_jax import data, reward_models, rewards
from qsharp_jax.core.errors import InputError
from qsharp_jax.reward_models import scoring, texts

QUESTIONS = ["How many?", "Ann has 12 pens.", "a"]
ANSWERS = ["15", "33 and so on", "#### 15 " * 5]
GOLD = [""] * 3


@pytest.fixture(scope="module")
def two(tmp_path_factory):
  """Two reward models: one with a template, one without."""
  base = tmp_path_factory.mktemp("grader")
  return [
    make.save(base / "a"),
    make.save(base / "b", template=None, seed=1, context=96),
  ]


def grader(name, **more):
  return reward_models.ModelGrader(name, micro_runs.one_device(), **more)


def graded(found, questions=QUESTIONS, answers=ANSWERS):
  return found.grade(answers, [""] * len(answers), prompts=questions)


def scores_of(directory):
  tokenizer = data.tokenizer.load(directory)
  own = scoring.load(directory, micro_runs.one_device())
  pairs = zip(QUESTIONS, ANSWERS, strict=True)
  return own.scores([texts.tokens(tokenizer, *both) for both in pairs])


def test_rewards_are_scores_and_say_nothing_of_right_and_wrong(two):
  found = grader(f"model:{two[0]}")
  assert found.traits == rewards.registry.Traits(
    is_batched=True, takes_prompt=True
  )
  expected = scores_of(two[0])
  assert graded(found) == [
    rewards.Grade(None, None, float(score)) for score in expected
  ]
  assert found.counts[""].graded == 3 and found.counts[""].failed == 0


def test_a_sum_weighs_models_that_read_in_their_own_way(two):
  found = graded(grader(f"model:{two[0]}+-0.5*model:{two[1]}"))
  expected = scores_of(two[0]).astype(float) - 0.5 * scores_of(two[1])
  np.testing.assert_allclose([g.reward for g in found], expected, rtol=1e-12)


def test_who_grades_is_known_by_the_files(two, tmp_path):
  moved = tmp_path / "moved"
  moved.mkdir()
  for file in two[0].iterdir():
    (moved / file.name).write_bytes(file.read_bytes())
  name = lambda *directories: reward_models.grader.identity(
    reward_models.names.parse("+".join(f"model:{d}" for d in directories))
  )
  assert name(moved) == name(two[0]) != name(two[1])
  half = reward_models.names.parse(f"0.5*model:{moved}")
  assert reward_models.grader.identity(half) != name(moved)
  template = moved / "chat_template.jinja"
  template.write_text(template.read_text() + "!")
  assert name(moved) != name(two[0])


def test_what_cannot_be_scored_fails_alone(two):
  found = grader(f"model:{two[0]}+model:{two[1]}", max_failed_share=0.5)
  answers = [ANSWERS[0], "x" * 500, ANSWERS[2]]
  grades = graded(found, answers=answers)
  assert [g.error is None for g in grades] == [True, False, True]
  assert "tokens to the reward model, which reads 1 to" in grades[1].error
  assert grades[1].reward == 0.0
  expected = graded(grader(f"model:{two[0]}+model:{two[1]}"))
  assert grades[0] == expected[0] and grades[2] == expected[2]
  with pytest.raises(InputError, match="failed for 21 of 23 samples"):
    graded(found, ["a"] * 20, ["x" * 500] * 20)


def test_a_score_that_is_no_number_fails(two, monkeypatch):
  found = grader(f"model:{two[0]}")
  monkeypatch.setattr(
    scoring.Scorer, "scores", lambda self, s: np.array([1.0, np.nan, np.inf])
  )
  grades = graded(found)
  assert grades[0].reward == 1.0
  assert [g.error for g in grades[1:]] == [
    "the reward model's score is nan", "the reward model's score is inf",
  ]  # fmt: skip


def test_questions_are_wanted(two):
  found = grader(f"model:{two[0]}")
  with pytest.raises(InputError, match="1 answers and no prompts"):
    found.grade(["a"], [""])
  with pytest.raises(
    InputError, match="2 predictions, 1 answers and 1 prompts"
  ):
    found.grade(["a", "b"], [""], prompts=["q"])


def test_every_model_counts_in_memory(two):
  alone = [grader(f"model:{d}").device_bytes(40) for d in two]
  both = grader(f"model:{two[0]}+model:{two[1]}").device_bytes(40)
  assert both == sum(alone) and min(alone) > 0
