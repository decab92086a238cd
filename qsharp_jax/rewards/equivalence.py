"""When two answers are the same: exactly as numbers, or as mathematics."""

import logging
from fractions import Fraction


def to_fraction(text: str) -> Fraction | None:
  """The exact value of a number as a person may write it.

  Args:
    text: digits with an optional sign, decimals, exponent or denominator; `$`,
      `,`, `%`, surrounding space and a trailing dot are ignored.

  Returns:
    The value; None when the text is no number or its exponent is beyond 999.
  """
  for ignored in ("$", ",", "%", "\\"):
    text = text.replace(ignored, "")
  text = text.strip().rstrip(".")
  _, _, exponent = text.lower().partition("e")
  if len(exponent.lstrip("+-")) > 3:  # 1e999999999 would fill the memory
    return None
  try:
    return Fraction(text)
  except (ValueError, ZeroDivisionError):
    return None


def same_number(a: str, b: str) -> bool:
  """Whether two strings are the same number, exactly: 0.5 is 1/2, not 0.49.

  Strings that are no numbers are never the same number.
  """
  value = to_fraction(a)
  return value is not None and value == to_fraction(b)


def same_expression(gold: str, prediction: str) -> bool:
  r"""Whether math-verify takes two LaTeX answers for the same.

  The order matters: an equation or an interval is read in the light of the
  gold answer. The call has no time limit: math-verify's own limits need
  signals, which fail outside the main thread, so limit it from outside, as
  `workers.GradingPool` does.

  Args:
    gold: the right answer, the content of a box (no `\boxed` around it).
    prediction: the answer in question, the same way.

  Returns:
    False also when either side cannot be read.

  Source: the math-verify package; scores move between its versions.
  """
  # Imported here: it takes 0.3 s that the number graders need not pay.
  import math_verify

  # It warns, once a process, that its time limits are off; we know.
  logging.getLogger("math_verify").setLevel(logging.ERROR)
  latex = math_verify.LatexExtractionConfig(
    try_extract_without_anchor=False, boxed_match_priority=0
  )

  def parse(content: str) -> list:
    # LaTeX only: the plain-expression reader would evaluate model text. One
    # box around one answer: two boxes in a text would be read as a set.
    box = "\\boxed{" + content + "}"
    return math_verify.parse(box, [latex], parsing_timeout=None)

  return math_verify.verify(
    parse(gold), parse(prediction), timeout_seconds=None
  )
