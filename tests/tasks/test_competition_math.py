"""Rows of competition problems, and of AIME."""

import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.tasks import competition_math

PROBLEM = competition_math.problem("problem", "answer")
AIME = competition_math.aime("problem", "answer")
SOLVED = r"First \boxed{1}. Then $x = \boxed{\pi}.$"


@pytest.mark.parametrize(
  ("row", "answer"),
  [
    ({"problem": "p", "solution": SOLVED, "answer": r"\frac12"}, r"\frac12"),
    ({"problem": "p", "solution": SOLVED}, r"\pi"),
    ({"problem": "p", "solution": SOLVED, "answer": ""}, r"\pi"),
    ({"problem": "p", "solution": SOLVED, "answer": None}, r"\pi"),
    ({"problem": "p", "answer": 7}, "7"),
    ({"problem": "p", "solution": r"\boxed{\frac{1}{2}}"}, r"\frac{1}{2}"),
  ],
)
def test_a_problem_has_its_bare_answer(row, answer):
  assert PROBLEM(row) == [("p", answer)]


def test_a_solution_may_be_named_as_the_answer():
  parse = competition_math.problem("p", "solution")
  assert parse({"p": "q", "solution": SOLVED}) == [("q", r"\pi")]


@pytest.mark.parametrize(
  ("row", "says"),
  [
    ({"problem": "p", "solution": "It is 3."}, "no \\boxed{} in 'solution'"),
    ({"problem": "p", "solution": "\\boxed{3"}, "no \\boxed{} in 'solution'"),
    ({"problem": "p"}, "no 'answer' and no \\boxed{}"),
    ({"problem": "p", "answer": 0.5}, "non-text value under the key 'answer'"),
    ({"problem": "p", "answer": True}, "non-text value"),
    ({"question": "p", "answer": "3"}, "no value under the key 'problem'"),
  ],
)
def test_a_problem_without_an_answer_is_refused(row, says):
  with pytest.raises(InputError) as caught:
    PROBLEM(row)
  assert says in str(caught.value)


@pytest.mark.parametrize(
  ("answer", "kept"),
  [("42", "42"), ("042", "42"), ("000", "0"), (999, "999"), (" 7 ", "7")],
)
def test_an_aime_answer_is_a_number_up_to_999(answer, kept):
  assert AIME({"problem": "p", "answer": answer}) == [("p", kept)]


@pytest.mark.parametrize(
  "answer", ["1000", "-1", "3.5", "²", "x", "\\pi", 1000]
)
def test_other_aime_answers_are_refused(answer):
  with pytest.raises(InputError, match="whole number from 0 to 999"):
    AIME({"problem": "p", "answer": answer})
