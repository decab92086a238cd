"""When two answers are the same: exactly as numbers, or as mathematics."""

import re
from fractions import Fraction

from qsharp_jax.rewards import latex, lists, numerals, quantities, symbolic

_LONGEST = 2000  # characters of an answer that is more than compared
_MORE = re.compile(
  r"\\p?mod(?![a-z])|\\ldots|\.\.\.|'|\?|\\to(?![a-z])|\\equiv|\\sim|\\approx"
)
_WORD = re.compile(r"\(?[A-Z]\)?|[A-Z][a-z]+|[a-z]{4,}")
_BASED = re.compile(r"([0-9A-F]+)_\{?([0-9]+)\}?")
_NAME = (
  r"(?P<name>(?:\\[a-z]+\s?|[A-Za-z])(?:_[0-9A-Za-z]|_\{[0-9A-Za-z]+\})?)\s*"
)
_ASSIGNMENT = re.compile(_NAME + r"(?:=|\\in(?![a-z]))\s*(?P<value>[^=<>]+)")
_REVERSED = re.compile(r"(?P<value>[^=<>]+)=\s*" + _NAME)
_INFINITE = re.compile(r"\\infty|NaN")
_MAY_BE_INFINITE = re.compile(
  r"\\infty|[<>]|\\[lg]eq|\\neq|\\mathbb|\\cup|\\setminus"
)


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
  r"""Whether two LaTeX answers are the same, by the rules of docs/graders.md.

  Numbers, times, units, words and lists are compared by rules of our own; what
  remains goes to math-verify, and its yes is checked on numbers.

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
  if max(len(gold), len(prediction)) > _LONGEST:
    return gold.strip() == prediction.strip()
  gold, prediction = latex.canonical(gold), latex.canonical(prediction)
  if not gold or not prediction:
    return False
  if _squeezed(gold) == _squeezed(prediction):
    return True
  if not latex.is_balanced(gold) or not latex.is_balanced(prediction):
    return False
  return _same(gold, prediction)


def _same(gold: str, prediction: str) -> bool:
  """Whether two canonical answers are the same; the rules in their order."""
  if _is_false(prediction):
    return False
  left, right = _assigned(gold), _assigned(prediction)
  if left[0] or right[0]:
    if left[0] and right[0] and left[0] != right[0]:
      return symbolic.same(gold, prediction)  # y = 2x and x = y/2
    return _same(left[1], right[1])
  same_time = quantities.same_time(gold, prediction)
  if same_time is not None:
    return same_time
  if _says_more(gold) or _says_more(prediction):
    return _squeezed(gold) == _squeezed(prediction)
  if "\\text" in gold + prediction or _WORD.fullmatch(gold):
    words = quantities.as_words(gold)
    if words is not None:
      return words == quantities.as_words(prediction) or (
        len(words) == 1 and words == _lettered(prediction)
      )
  mine, theirs = quantities.split(gold), quantities.split(prediction)
  if mine.unit is None or theirs.unit is None:
    return _squeezed(gold) == _squeezed(prediction)
  if "percent" in (mine.unit, theirs.unit) and mine.unit != theirs.unit:
    if mine.unit and theirs.unit:
      return False
    return _same_percent(mine, theirs)
  if mine.unit and theirs.unit and mine.unit != theirs.unit:
    return False
  return _same_value(_scaled(mine), _scaled(theirs))


def _same_value(gold: str, prediction: str) -> bool:
  """Whether two canonical answers without units are the same."""
  if _squeezed(gold) == _squeezed(prediction):
    return True
  values = numerals.value(gold), numerals.value(prediction)
  if None not in values:
    return values[0] == values[1]
  based = _BASED.fullmatch(gold), _BASED.fullmatch(prediction)
  if any(based):
    return _same_digits(gold, prediction, based)
  if _INFINITE.search(prediction) and not _MAY_BE_INFINITE.search(gold):
    return False
  mine, theirs = lists.split(gold), lists.split(prediction)
  if mine and theirs:
    return lists.same(mine, theirs, _same)
  alone, several = (gold, theirs) if theirs else (prediction, mine)
  if several and several.kind == "{}" and len(several.items) > 1:
    if not lists.is_unsplit(alone):
      return False  # 7 is not the list 7, 7
  return symbolic.same(gold, prediction)


def _same_digits(gold: str, prediction: str, based) -> bool:
  """Whether numbers in a base are the same; a missing base is understood."""
  if all(based):
    return based[0].groups() == based[1].groups()
  digits = [
    m[1] if m else t for m, t in zip(based, (gold, prediction), strict=True)
  ]
  return digits[0] == digits[1]


def _same_percent(mine, theirs) -> bool:
  """28% is 28 and is 0.28."""
  gold, prediction = _scaled(mine), _scaled(theirs)
  if _same_value(gold, prediction):
    return True
  if mine.unit == "percent":
    gold = f"\\frac{{{gold}}}{{100}}"
  else:
    prediction = f"\\frac{{{prediction}}}{{100}}"
  return _same_value(gold, prediction)


def _scaled(quantity: quantities.Quantity) -> str:
  if not quantity.scale:
    return quantity.value
  return f"{quantity.value} \\cdot 10^{{{quantity.scale}}}"


def _assigned(text: str) -> tuple[str, str]:
  """The name and the value of `x = 3`, `3 = x` or `x in [0, 1]`, or no name."""
  match = _ASSIGNMENT.fullmatch(text)
  if match:
    return match["name"].strip(), match["value"].strip()
  match = _REVERSED.fullmatch(text)
  return (
    (match["name"].strip(), match["value"].strip()) if match else ("", text)
  )


def _is_false(text: str) -> bool:
  """Whether an equation of numbers does not hold, as `7 = 8`."""
  if "=" not in text:
    return False
  values = [numerals.value(side) for side in text.split("=")]
  return len({value for value in values if value is not None}) > 1


def _says_more(text: str) -> bool:
  """Whether an answer has signs that math-verify would drop."""
  return _MORE.search(text) is not None


def _lettered(text: str) -> str | None:
  """The letter of `(C) 13`, the choice before what it stands for."""
  text = quantities.unwrapped(text)
  match = re.match(r"\(([A-Z])\)|\(?([A-Z])[).:]", text)
  return match and (match[1] or match[2])


def _squeezed(text: str) -> str:
  text = re.sub(r"(?<=[0-9])\s+(?=[0-9])", "_", text)  # 3 1/2 is not 31/2
  return re.sub(r"\s|\\text(?=\{)", "", text)
