r"""The named graders: (prediction, answer) -> Grade, pure functions.

Each is named after the rule that cuts the answer out of the prediction; report
which one was used, scores differ between them. The gold answer may be bare
(`42`, `\frac{1}{2}`), a GSM8K solution ending in `#### 42`, or a MATH solution
with a box. The reward is 1.0 for a correct answer, else 0.0: no partial credit.
"""

import dataclasses
import math
import numbers

from qsharp_jax.rewards import equivalence, extraction, numerals


@dataclasses.dataclass(frozen=True)
class Grade:
  """What a grader thinks of one prediction.

  Attributes:
    correct: whether the prediction is right; None where the reward does not
      say.
    extracted: the answer cut out of the prediction, None when there is none.
    reward: the number to learn from; in {0, 1} for the named graders, finite
      always.
    error: why there is no honest grade (one line), None when there is one.
  """

  correct: bool | None
  extracted: str | None
  reward: float
  error: str | None = None


def failed(error: str, extracted: str | None = None) -> Grade:
  """The grade of a sample that could not be graded: incorrect, reward 0."""
  line = " ".join(_writable(error).split())
  return Grade(False, extracted, 0.0, line[:300])


def strict(prediction: str, answer: str) -> Grade:
  """Grades the number of the prediction's last `#### N`, exactly."""
  return _grade_number(extraction.strict(prediction), answer)


def flexible(prediction: str, answer: str) -> Grade:
  """Grades the last number of the prediction, exactly."""
  return _grade_number(extraction.flexible(prediction), answer)


def boxed(prediction: str, answer: str) -> Grade:
  r"""Grades the last box: equal to the gold as a string or to math-verify.

  Without a time limit of its own: see `equivalence.same_expression`.
  """
  extracted = extraction.boxed(prediction)
  gold = _gold_expression(answer)
  if gold is None:
    return failed(f"no gold answer in {answer[-80:]!r}", extracted)
  if extracted is None:
    return Grade(False, None, 0.0)
  correct = extracted == gold or equivalence.same_expression(gold, extracted)
  return Grade(correct, extracted, float(correct))


def choice(prediction: str, answer: str) -> Grade:
  """Grades the letter of a multiple-choice answer."""
  extracted = extraction.choice(prediction)
  gold = extraction.choice(answer)
  if gold is None:
    return failed(f"no gold letter in {answer[-80:]!r}", extracted)
  return Grade(extracted == gold, extracted, float(extracted == gold))


def path(prediction: str, answer: str) -> Grade:
  """Grades a path through a graph: right as a whole, or not at all.

  Both are node numbers between commas or spaces; `extracted` has commas.
  """
  gold = extraction.path(answer)
  extracted = extraction.path(prediction)
  if gold is None:
    return failed(f"no gold path in {answer[-80:]!r}", extracted)
  return Grade(extracted == gold, extracted, float(extracted == gold))


def as_grade(value: object) -> Grade:
  """The grade that a user's reward function means by what it returned.

  Args:
    value: a Grade, or a real number, which says nothing of right and wrong.

  Returns:
    The grade; one with an `error` for anything else and for NaN or infinity.
  """
  if not isinstance(value, Grade):
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
      kind = type(value).__name__
      return failed(f"reward returned {kind}, expected a float or a Grade")
    value = Grade(None, None, float(value))
  if not isinstance(value.reward, numbers.Real) or not math.isfinite(
    value.reward
  ):
    return failed(f"reward returned {value.reward!r}, expected a finite number")
  extracted = None if value.extracted is None else _writable(value.extracted)
  error = None if value.error is None else failed(str(value.error)).error
  correct = None if value.correct is None else bool(value.correct)
  return Grade(correct, extracted, float(value.reward), error)


def _writable(value: object) -> str:
  """A string that files can hold: lone surrogates become question marks."""
  return str(value).encode("utf-8", "replace").decode("utf-8")


def _grade_number(extracted: str | None, answer: str) -> Grade:
  gold = _gold_number(answer)
  if gold is None:
    return failed(f"not one gold number in {answer[-80:]!r}", extracted)
  correct = extracted is not None and (
    extracted == gold or equivalence.same_number(extracted, gold)
  )
  return Grade(correct, extracted, float(correct))


def _gold_number(answer: str) -> str | None:
  r"""The number of a gold answer; None rather than one of several.

  Taking the last number of `2\sqrt{3}` or `(3, 4)` would grade in silence
  against a wrong gold.
  """
  if "####" in answer:
    return extraction.strict(answer)
  content = extraction.boxed(answer) or answer
  number = numerals.read(content)
  if number is None:
    found = numerals.every(content)
    number = found[0] if len(found) == 1 else None
  return number


def _gold_expression(answer: str) -> str | None:
  if "\\boxed" in answer or "\\fbox" in answer:
    return extraction.boxed(answer)
  bare = extraction.tidy(answer.rpartition("####")[2])
  return extraction.strict(answer) or bare or None
