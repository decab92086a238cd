import fractions

import pytest

from qsharp_jax.rewards import equivalence

SAME_NUMBER = [
  ("18", "18.00", True),
  ("0.5", "1/2", True),
  ("-3/4", "-0.75", True),
  ("1,234.50", "1234.5", True),
  ("$-5", "-5", True),
  ("50%", "50", True),
  (r"50\%", "50.", True),
  ("1.5e3", "1500", True),
  ("0.333333", "1/3", False),
  ("0.1", "0.1000000000000000055", False),  # equal as floats
  ("9007199254740993", "9007199254740992", False),  # equal as floats
  ("5", "-5", False),
  ("18", "eighteen", False),
  ("x", "x", False),
  ("1/0", "1/0", False),
  ("1e999999999", "1e999999999", False),  # refused before it is computed
]

SAME_EXPRESSION = [
  (r"\frac{1}{2}", "0.5", True),
  (r"\frac{1}{2}", "1/2", True),
  (r"\frac12", r"\frac{1}{2}", True),
  (r"\frac{1}{3}", "0.33", False),
  ("3", "x = 3", True),
  ("x=3", "3", True),
  ("x=3", "y=3", False),
  ("[1,2)", "[1, 2)", True),
  ("[1,2)", "(1,2)", False),
  ("[1,2)", "(1,2]", False),
  (r"(-\infty,2)\cup(3,\infty)", r"(3,\infty)\cup(-\infty,2)", True),
  (r"\{1,2\}", r"\{2,1\}", True),
  (r"\{1,2\}", r"\{1,3\}", False),
  ("(1,2)", "(2,1)", False),
  ("3,-3", r"\pm 3", True),
  ("1,234.50", "1234.5", True),
  (r"11,\!111", "11111", True),
  ("5", r"\$5", True),
  ("10", r"10\text{ cm}", True),
  ("90^\\circ", "90", True),
  (r"\text{Monday}", "Monday", True),
  (r"\text{Monday}", "Tuesday", False),
  ("x^2+2x+1", "(x+1)^2", True),
  ("x^2+2x+1", "(x-1)^2", False),
  (r"2\sqrt{3}", r"\sqrt{12}", True),
  ("5", "", False),
  ("", "5", False),
  ("5", "{5", False),
]


@pytest.mark.parametrize("a, b, expected", SAME_NUMBER)
def test_same_number_is_exact_and_symmetric(a, b, expected):
  assert equivalence.same_number(a, b) is expected
  assert equivalence.same_number(b, a) is expected


def test_to_fraction():
  assert equivalence.to_fraction("-$1,000.25") == fractions.Fraction(-4001, 4)
  assert equivalence.to_fraction("") is None


@pytest.mark.parametrize("gold, prediction, expected", SAME_EXPRESSION)
def test_same_expression(gold, prediction, expected):
  assert equivalence.same_expression(gold, prediction) is expected


def test_the_order_of_gold_and_prediction_matters():
  assert equivalence.same_expression("1<x<2", "(1,2)")
  assert not equivalence.same_expression("(1,2)", "1<x<2")


def test_python_in_an_answer_is_not_run(tmp_path):
  mark = tmp_path / "ran"
  code = f"__import__('os').mkdir('{mark}')"
  assert not equivalence.same_expression("5", code)
  assert not equivalence.same_expression(code, "5")
  assert not mark.exists()
