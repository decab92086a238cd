r"""Which answers to one question are the same: the classes of a majority vote.

18, 18.0 and $18.00 are one class of three votes, by the equivalence of the
grader that cut them out.
"""

from collections.abc import Callable, Sequence

from qsharp_jax.rewards import equivalence
from qsharp_jax.rewards.workers import GradingPool

SameAs = Callable[[str, Sequence[str]], list[bool]]
"""(an answer, others) -> which of the others are the same as it."""


def class_keys(
  answers: Sequence[str | None],
  same_as: SameAs,
  *,
  is_failed: Sequence[bool] | None = None,
) -> list[str | None]:
  """The class of each answer to one question.

  Args:
    answers: what the grader extracted from each sample, None for nothing. [S].
    same_as: the grader's equivalence, see `equivalence_of`.
    is_failed: samples without an honest grade, which do not vote (one that ran
      into the time limit did not say what it is equal to). [S].

  Returns:
    The first spelling of each answer's class, None where there is no vote. [S].
  """
  is_failed = is_failed or [False] * len(answers)
  votes = [
    None if failed else answer
    for answer, failed in zip(answers, is_failed, strict=True)
  ]
  left = list(dict.fromkeys(vote for vote in votes if vote is not None))
  key_of: dict[str | None, str | None] = {None: None}
  while left:
    first, *others = left
    is_same = same_as(first, others) if others else []
    key_of[first] = first
    left = []
    for other, same in zip(others, is_same, strict=True):
      if same:
        key_of[other] = first
      else:
        left.append(other)
  return [key_of[vote] for vote in votes]


def equivalence_of(reward_name: str, pool: GradingPool) -> SameAs:
  """The equivalence of a named grader; of a user's reward, equal strings.

  Args:
    reward_name: the reward that extracted the answers.
    pool: grades by that reward; asked where a comparison may take forever.
  """
  if reward_name in ("strict", "flexible"):
    return _same_numbers
  return _Boxes(pool) if reward_name == "boxed" else _same_strings


def _same_numbers(first: str, others: Sequence[str]) -> list[bool]:
  return [equivalence.same_number(first, other) for other in others]


def _same_strings(first: str, others: Sequence[str]) -> list[bool]:
  return [first == other for other in others]


class _Boxes:
  """Asks the workers, each pair once; one over the time limit is not equal."""

  def __init__(self, pool: GradingPool):
    self._pool = pool
    self._verdicts: dict[tuple[str, str], bool] = {}

  def __call__(self, first: str, others: Sequence[str]) -> list[bool]:
    asked = [o for o in others if (first, o) not in self._verdicts]
    if asked:
      boxes = [f"\\boxed{{{other}}}" for other in asked]
      gold = f"\\boxed{{{first}}}"
      grades = self._pool.grade(boxes, [gold] * len(boxes), "votes")
      for other, grade in zip(asked, grades, strict=True):
        self._verdicts[first, other] = grade.correct
    return [self._verdicts[first, other] for other in others]
