import pytest

from benchmarks import verdicts
from qsharp_jax.rewards import graders, symbolic


@pytest.mark.parametrize("odd", verdicts._ODD)
def test_what_is_infinite_or_undefined_is_no_finite_gold(odd):
  if odd == "0^0":  # 1, by convention
    return
  for gold in ("42", "0", r"\frac{1}{2}", r"\pi", "x + 1"):
    assert not graders.boxed(f"\\boxed{{{odd}}}", gold).correct


def test_infinite_golds_are_still_right():
  assert graders.boxed(r"\boxed{+\infty}", r"\infty").correct
  assert not graders.boxed(r"\boxed{-\infty}", r"\infty").correct
  assert not graders.boxed(r"\boxed{5}", r"\infty").correct


@pytest.mark.parametrize(
  "gold, prediction, expected",
  [
    (r"\frac{1}{2004!}", r"\frac{1}{2006!}", False),
    (r"\frac{x}{10^{30}}", r"\frac{x}{10^{31}}", False),
    (r"x + 10^{-30}", "x", False),
    (r"\sqrt{2}", "1.414214", False),
    (r"0.1 \pi", r"\frac{\pi}{10}", True),
    ("-1", r"e^{i\pi}", True),
    ("x", "X", False),
    (r"\sin^2 x + \cos^2 x", "1", True),
  ],
)
def test_a_yes_is_checked_on_numbers(gold, prediction, expected):
  assert symbolic.same(gold, prediction) is expected


def test_verdicts_do_not_depend_on_the_process():
  result = verdicts.count_unsteady(num_pairs=20, num_processes=2)
  assert result["unsteady"] == 0
  assert result["infinite_right_against_42"] == 0
