import json
import math
import os
import pathlib

import numpy as np
import pytest

from qsharp_jax.rewards import graders
from qsharp_jax.rewards.graders import Grade

GSM8K = "Half of 84 is <<84/2=42>>42.\n#### 42"
MATH = r"Hence $2x = 1$ and $x = \boxed{\frac{1}{2}}.$"

TABLE = [
  # grader, prediction, answer, correct, extracted
  (graders.strict, "so\n#### 42", GSM8K, True, "42"),
  (graders.strict, "#### 41 #### $42.00", GSM8K, True, "42.00"),
  (graders.strict, "#### 42 #### 41", GSM8K, False, "41"),
  (graders.strict, "it is 42", GSM8K, False, None),
  (graders.strict, "#### 1,234.50", "1234.5", True, "1234.50"),
  (graders.strict, "#### 0.5", MATH, True, "0.5"),
  (graders.flexible, "it is 42 eggs.", GSM8K, True, "42"),
  (graders.flexible, "42, not 41", "42", False, "41"),
  (graders.flexible, "so x = 3", "3", True, "3"),
  (graders.flexible, "about 50%", "50", True, "50"),
  (graders.flexible, "it costs $-5", "-5", True, "-5"),
  (graders.flexible, "half, 1/2", MATH, True, "1/2"),
  (graders.flexible, "nothing", "42", False, None),
  (graders.boxed, r"\boxed{42}", GSM8K, True, "42"),
  (graders.boxed, r"\boxed{0.5}", MATH, True, "0.5"),
  (graders.boxed, r"\boxed{1} no, \boxed{\tfrac12}", MATH, True, r"\tfrac12"),
  (graders.boxed, r"\boxed{0.5} no, \boxed{1}", MATH, False, "1"),
  (graders.boxed, r"\boxed{x = 3}", "3", True, "x = 3"),
  (graders.boxed, r"\boxed{\text{Monday}}", "Monday", True, r"\text{Monday}"),
  (graders.boxed, r"\boxed{[1,2)}", "$[1, 2)$", True, "[1,2)"),
  (graders.boxed, r"\boxed{(1,2)}", "[1, 2)", False, "(1,2)"),
  (graders.boxed, "#### 42", GSM8K, False, None),
  (graders.boxed, r"\boxed{\frac{1}{2", MATH, False, None),
  (graders.path, "5 4 17", "5,4,17", True, "5,4,17"),
  (graders.path, "5,4, 17", "5,4,17", True, "5,4,17"),
  (graders.path, "5 4 1", "5,4,17", False, "5,4,1"),
  (graders.path, "5 4 17 3", "5,4,17", False, "5,4,17,3"),
  (graders.path, "5 4", "5,4,17", False, "5,4"),
  (graders.path, "5 | 17", "5,4,17", False, None),
  (graders.path, "5 ² 17", "5,4,17", False, None),
  (graders.path, "", "5,4,17", False, None),
  (graders.choice, r"so \boxed{B}", "B", True, "B"),
  (graders.choice, r"\boxed{A} no, \boxed{\text{(B)}}.", "B", True, "B"),
  (graders.choice, r"\boxed{B. the dog}", "B", True, "B"),
  (graders.choice, r"\boxed{Both}", "B", False, None),
  (graders.choice, r"\boxed{the dog}, so B", "B", False, None),
  (graders.choice, r"\boxed{", "B", False, None),
  (graders.choice, "The answer is (C).", "C", True, "C"),
  (graders.choice, "It is **D**", "D", True, "D"),
  (graders.choice, "D", "C", False, "D"),
  (graders.choice, "A good day", "A", False, None),
  (graders.choice, "vitamin C or DNA", "A", False, None),
  (graders.choice, "", "A", False, None),
  (graders.boxed, r"\boxed{042}", "42", True, "042"),
]

BAD_GOLDS = [
  (graders.strict, r"\text{Monday}"),
  (graders.strict, r"2\sqrt{3}"),
  (graders.flexible, "(3, 4)"),
  (graders.flexible, ""),
  (graders.boxed, r"so \boxed{\frac{1}{2"),
  (graders.boxed, " "),
  (graders.path, "from 5 to 17"),
  (graders.choice, "the dog"),
]


@pytest.mark.parametrize("grader, prediction, answer, correct, got", TABLE)
def test_grade(grader, prediction, answer, correct, got):
  expected = Grade(correct, got, float(correct), None)
  assert grader(prediction, answer) == expected


@pytest.mark.parametrize("grader, answer", BAD_GOLDS)
def test_an_unreadable_gold_answer_is_an_error_not_a_wrong_prediction(
  grader, answer
):
  grade = grader(r"#### 3 \boxed{3}", answer)
  assert not grade.correct
  assert grade.reward == 0.0
  assert "gold" in grade.error


@pytest.mark.parametrize(
  "value, correct, reward",
  [
    (1, None, 1.0),
    (True, None, 1.0),
    (0.5, None, 0.5),
    (-2.0, None, -2.0),
    (np.float32(1.0), None, 1.0),
  ],
)
def test_a_number_becomes_a_grade(value, correct, reward):
  assert graders.as_grade(value) == Grade(correct, None, reward)


def test_a_grade_stays_itself():
  grade = Grade(True, "7", 0.25)
  assert graders.as_grade(grade) == grade


@pytest.mark.parametrize(
  "value", [None, "1.0", [1.0], math.nan, -math.inf, Grade(True, "1", math.nan)]
)
def test_anything_else_becomes_an_error(value):
  grade = graders.as_grade(value)
  assert (grade.correct, grade.reward) == (False, 0.0)
  assert "expected" in grade.error


def lines_of(name):
  if "QSHARP_DATA_DIR" not in os.environ:
    pytest.skip("QSHARP_DATA_DIR is not set")
  path = pathlib.Path(os.environ["QSHARP_DATA_DIR"]) / name
  return [json.loads(line) for line in path.open()]


@pytest.mark.parametrize(
  "name, count", [("gsm8k/train.jsonl", 7473), ("gsm8k/test.jsonl", 1319)]
)
def test_all_gsm8k_golds_are_correct_against_themselves(name, count):
  answers = [line["answer"] for line in lines_of(name)]
  assert len(answers) == count
  for answer in answers:
    gold = answer.rpartition("####")[2].strip()
    box = "\\boxed{" + gold + "}"
    grades = [
      graders.strict(answer, answer),
      graders.flexible(answer, answer),
      graders.flexible(f"so ${gold}.", answer),
      graders.boxed(box, answer),
    ]
    assert all(grade.correct for grade in grades), gold
    # ... and one more is wrong, so that "correct" means something.
    wrong = f"#### {int(gold.replace(',', '')) + 1}"
    assert not graders.strict(wrong, answer).correct


def test_all_math_solutions_are_correct_against_their_own_answer():
  lines = lines_of("math500/test.jsonl")
  assert len(lines) == 500
  for line in lines:
    grade = graders.boxed(line["solution"], line["answer"])
    assert grade.correct and grade.error is None, line["answer"]
    grade = graders.boxed(line["solution"], line["solution"])
    assert grade.correct, line["answer"]


def test_math_verify_accepts_math_answers_without_the_string_shortcut():
  from qsharp_jax.rewards import equivalence, latex, quantities, symbolic

  golds = [line["answer"] for line in lines_of("math500/test.jsonl")[:100]]
  for gold in golds:
    assert equivalence.same_expression(gold, " " + gold), gold
    value = quantities.split(latex.canonical(gold)).value
    assert "\\text" in value or symbolic.same(value, value), gold
