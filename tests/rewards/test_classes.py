import pytest

from qsharp_jax.rewards import classes, workers


class CountingPool:
  """Grades in this process and counts; equal when equal but for case."""

  def __init__(self):
    self.asked = []

  def grade(self, predictions, answers, split):
    from qsharp_jax.rewards.graders import Grade

    self.asked += zip(predictions, answers, strict=True)
    return [
      Grade(p.lower() == a.lower(), None, 0.0)
      for p, a in zip(predictions, answers, strict=True)
    ]


@pytest.mark.parametrize("name", ["strict", "flexible"])
def test_spellings_of_a_number_vote_together(name):
  same_as = classes.equivalence_of(name, None)
  answers = ["17", "18", "18.0", None, "17", "36/2", "18.00", "17", "1/3"]
  assert classes.class_keys(answers, same_as) == [
    *["17", "18", "18", None, "17", "18", "18", "17", "1/3"]
  ]


@pytest.mark.parametrize("name", ["path", "choice", "module:of_a_user"])
def test_other_answers_are_the_same_as_strings(name):
  same_as = classes.equivalence_of(name, None)
  assert classes.class_keys(["A", "B", "A", "1", "1.0"], same_as) == [
    *["A", "B", "A", "1", "1.0"]
  ]


def test_boxes_are_compared_by_their_grader():
  answers = [r"\frac12", "x", "0.5", r"\frac{2}{4}", "x ", "y", None]
  with workers.GradingPool("boxed", 1, 30.0) as pool:
    same_as = classes.equivalence_of("boxed", pool)
    keys = classes.class_keys(answers, same_as)
  half = r"\frac12"
  assert keys == [half, "x", half, half, "x", "y", None]


def test_a_sample_that_failed_does_not_vote():
  same_as = classes.equivalence_of("strict", None)
  keys = classes.class_keys(
    ["18", "18.0", "17"], same_as, is_failed=[True, False, False]
  )
  assert keys == [None, "18.0", "17"]


def test_a_pair_is_asked_once():
  pool = CountingPool()
  same_as = classes.equivalence_of("boxed", pool)
  answers = ["a", "A", "b", "a", "B", "c"]
  assert classes.class_keys(answers, same_as) == ["a", "a", "b", "a", "b", "c"]
  count = len(pool.asked)
  assert count == len(set(pool.asked)) == 4 + 2
  assert classes.class_keys(answers[::1], same_as)[0] == "a"
  assert len(pool.asked) == count


def test_nothing_to_vote_for():
  assert classes.class_keys([], None) == []
  assert classes.class_keys([None, None], None) == [None, None]
