r"""Numbers as people write them, read whole or not at all.

One grammar for the graders `strict` and `flexible`, for gold answers and for
boxes: signs and currencies, thousands, decimals, fractions, mixed numbers,
powers and powers of ten, in ASCII, Unicode or LaTeX. What is a number of
another kind (a time, a range, a product, a root) is no number here: half of it
would be another number than the writer meant. `docs/graders.md` has the rules.

A number comes back in one plain form: ASCII digits, at most one leading minus,
no `$`, no thousands marks, no percent sign, no trailing dot (`-1234.50`, `3/4`,
`1.5e3`).
"""

import re
from fractions import Fraction

from qsharp_jax.rewards import characters

_MAX_DIGITS = 2000  # of a power that is worked out
_SCALES = {
  "hundred": 10**2,
  "thousand": 10**3,
  "million": 10**6,
  "billion": 10**9,
  "trillion": 10**12,
  "k": 10**3,
}

_GROUPS = (
  r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])"  # 1,234
  r"|[1-9][0-9]{0,2}(?:[ '_][0-9]{3})+(?![0-9/])"  # 1 234, 1'234, 1_234
  r"|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?![0-9])"  # 12,34,567, as in India
  r"|[0-9]+)"
)
_DECIMAL = (
  _GROUPS + r"(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,3}(?![0-9A-Za-z]))?"
  r"|(?<![\w}\])])\.[0-9]+"  # .5, yet not the dot of "No.5"
)
# \frac{a}{b} and ½ stand between these marks, see `characters.plain`.
_FRACTION = r"\u2039(?P<fraction>[^\u203a]*)\u203a"
_NUMBER = (
  r"(?P<date>(?<=[0-9]/))?"
  # The sign stands before or after the currency sign: -$5 and $-5.
  r"(?P<sign>[-+])?(?:\$\s?)*(?P<inner>[-+])?(?:"
  + _FRACTION
  + r"|(?P<whole>[0-9]+)(?:\s?"
  + _FRACTION.replace("fraction", "part")
  + r"|\s(?P<over>[0-9]+)/(?P<under>[0-9]+)(?![0-9.,/]*[0-9/]))"
  rf"|(?P<decimal>{_DECIMAL})(?:"
  r"(?:\^|\*\*)(?P<exponent>[-+]?[0-9]+)(?![0-9])"
  r"|\s?[*x]\s?10(?:\^|\*\*)(?P<ten>[-+]?[0-9]+)(?![0-9])"
  # A fraction, but neither a date (1/2/2020) nor a division by zero.
  r"|(?(date)(?!)|\s?/\s?"
  r"(?P<denominator>(?!0+(?![0-9]))[0-9]+(?![0-9.,/]*[0-9/])))"
  r")?)"
  r"(?:\s?(?P<scale>hundred|thousand|million|billion|trillion)s?(?![A-Za-z])"
  r"|(?P<k>[kK])(?![0-9A-Za-z]))?"
)
# A digit glued to a letter, a `^` or a `_` is part of a name or of a unit
# (x1, m^2), a digit after digit-dot part of a version number; and a minus
# after a digit, a letter or a closing bracket subtracts.
_FREE = re.compile(
  r"(?=[-+$.0-9\u2039])"  # most positions end here, cheaply
  r"(?:(?=\u2039)|(?<![A-Za-z_^0-9])(?<![0-9]\.)(?<![_^][-+{(]))"
  r"(?<![)\]}%\u203a](?=[-+]))" + _NUMBER
)
_LEADING = re.compile(
  r"(?:[\s$*_`(\[{\"'~:\u2248]|</?[a-z]+>|\\?(?:approx|sim|boxed|fbox)(?![A-Za-z])"
  r"|(?:the|final|answer|is|total|about|approximately|USD|US(?=\$)|EUR|GBP"
  r"|Rs\.?|INR|[ACRS](?=\$)|[HN][KZ](?=\$))(?![A-Za-z]))*",
  re.IGNORECASE,
)
_ANCHORED = re.compile(r"(?:(?P<spaced>-)\s+)?" + _NUMBER)
# What makes a number a part of something that is not read: a product, a time,
# a list or a decimal comma, a root.
_CUT_BEFORE = re.compile(
  r"(?:[0-9\u203a](?:\s?(?<!\*)[*\u00f7x]\s?|\*\*|[:,'])|[\u221a\u00b1]\s?"
  r"[{(\[]?\s?)\Z"
)
_CUT_AFTER = re.compile(
  r"\s?[*\u00f7x]\s?[0-9\u2039\u221a(]|\*\*[0-9]|\)?\^|[:,'.][0-9]"
  r"|\s?[\u221a\u03c0\u2039]"
)
# After a mark the writer gives one value and no sentence: a sum, a range, a
# choice, an inequality, a factorial or a multiple of x is none.
_MORE_AFTER = re.compile(
  r"!|\(|\s?/\s?[0-9]|\s*[-+~<>\u2264\u2265\u00b1&]\s*[$(]*[0-9x\u2039]"
  r"|(?:\s|\s?[,;])\s*[-$]*[0-9]|\.\.|h[0-9]|\s?\+\s*\Z|\s?[xyzn](?![A-Za-z'])"
  r"|\s*[A-Za-z]+,?\s+(?:and\s+)?[0-9]"  # 5 ft 10 in, 5 plus 3, 5 to 7
  r"|\s+(?:or|and)\s+(?:more|less|fewer|above|below|up|over|under)"
  r"|\s+(?:squared|cubed|factorial)"
)
_REPEATING = re.compile(
  r"\s*(-?)\s*([0-9]*)\.([0-9]*)\s*\\(?:overline|bar|dot)\{([0-9]+)\}\s*"
)
_MAY_HOLD = re.compile(r"[0-9\u00bc-\u00be\u2150-\u215e]")


def read(text: str) -> str | None:
  """The number that a text is, with a unit or a remark after it at most.

  Args:
    text: one line, the answer itself: `x = -$5`, `**2 1/2** cups`.

  Returns:
    The number in plain form, None unless the text begins with exactly one. With
    equals signs, the last side that begins with a number.
  """
  for side in reversed(characters.plain(text).split("=")):
    start = _LEADING.match(side).end()
    match = _ANCHORED.match(side, start)
    if match is None:
      continue
    if _is_cut(side, match, is_answer=True):
      return None
    number = _plain(match)
    if number is None or not match["spaced"]:
      return number
    return number if number.startswith("-") else "-" + number
  return None


def value(text: str) -> Fraction | None:
  r"""The exact value of a text that is one number and nothing else.

  Repeating decimals (`0.1\overline{6}`) are read, too.
  """
  match = _REPEATING.fullmatch(text)
  if match:
    return _repeating(*match.groups())
  text = characters.plain(text).strip()
  if text.startswith("(") and text.endswith(")"):
    text = text[1:-1]
  match = _ANCHORED.fullmatch(text) if len(text) <= _MAX_DIGITS else None
  if match is None or match["k"]:  # 5k has a letter k
    return None
  number = _plain(match)
  if number is None:
    return None
  number = "-" + number.lstrip("-") if match["spaced"] else number
  return Fraction(number)


def begins(text: str) -> bool:
  """Whether a text begins with a number, of whatever kind."""
  plain = characters.plain(text)
  return _ANCHORED.match(plain, _LEADING.match(plain).end()) is not None


def every(text: str) -> list[str | None]:
  r"""All numbers of a text in reading order; None for one that is not read.

  Digits glued to a letter, `^` or `_` do not count.
  """
  return _free(characters.plain(text), is_answer=True)


def last(text: str) -> str | None:
  """The last number of a text; None without one, or when it is not read.

  A number stands on one line, so the last line with one settles it.
  """
  for line in reversed(text.split("\n")):
    if _MAY_HOLD.search(line):
      found = _free(characters.plain(line), is_answer=False)
      if found:
        return found[-1]
  return None


def _free(line: str, *, is_answer: bool) -> list[str | None]:
  """The numbers of a line, None for one cut out of something else.

  Args:
    line: in the signs of `characters.plain`.
    is_answer: whether the line is an answer and no sentence; of a sentence only
      the last number is returned.
  """
  matches = list(_FREE.finditer(line))
  return [
    None if _is_cut(line, match, is_answer) else _plain(match)
    for match in (matches if is_answer else matches[-1:])
  ]


def _is_cut(line: str, match: re.Match, is_answer: bool) -> bool:
  before = line[max(0, match.start() - 8) : match.start()]
  return bool(
    _CUT_BEFORE.search(before)
    or _CUT_AFTER.match(line, match.end())
    or (is_answer and _MORE_AFTER.match(line, match.end()))
  )


def _plain(match: re.Match) -> str | None:
  """The plain form of one match of `_NUMBER`; None beyond all bounds."""
  sign = "-" if "-" in ((match["sign"] or "") + (match["inner"] or "")) else ""
  scale = _SCALES.get((match["scale"] or match["k"] or "").lower(), 1)
  if match["decimal"] is not None:
    body = _of_decimal(match)
  elif len(match[0]) > _MAX_DIGITS:
    body = None
  elif match["whole"] is not None:
    part = match["part"] or f"{match['over']}/{match['under']}"
    body = _mixed(match["whole"], part)
  else:
    body = match["fraction"] if match["fraction"] != "?" else None
  if body is None:
    return None
  if body.startswith("-"):  # the minus of \frac{-1}{2}
    sign, body = ("" if sign else "-"), body[1:]
  if scale != 1:
    body = str(Fraction(body) * scale)
  return sign + body


def _of_decimal(match: re.Match) -> str | None:
  decimal = re.sub(r"[,' _]", "", match["decimal"])
  if decimal.startswith("."):
    decimal = "0" + decimal
  if len(match[0]) > _MAX_DIGITS:
    return decimal if match[0].endswith(match["decimal"]) else None
  if match["exponent"] is not None:
    return _power(decimal, match["exponent"])
  if match["ten"] is not None:
    ten = _power("10", match["ten"])
    return ten and str(Fraction(decimal) * Fraction(ten))
  if match["denominator"] is None:
    return decimal
  if decimal.isdigit():
    return f"{decimal}/{match['denominator']}"
  return str(Fraction(decimal) / int(match["denominator"]))


def _repeating(sign: str, whole: str, fixed: str, cycle: str) -> Fraction:
  """`0.1` and the cycle `6` as 1/6."""
  head = Fraction(int(whole + fixed or "0"), 10 ** len(fixed))
  tail = Fraction(int(cycle), 10 ** len(fixed) * (10 ** len(cycle) - 1))
  return -(head + tail) if sign else head + tail


def _mixed(whole: str, part: str) -> str | None:
  """`2` and `1/2` as `5/2`; None where the part is no proper fraction."""
  if part == "?" or part.endswith("/0"):
    return None
  fraction = Fraction(part)
  return str(int(whole) + fraction) if 0 < fraction < 1 else None


def _power(base: str, exponent: str) -> str | None:
  if len(exponent) > 5 or len(base) * abs(int(exponent)) > _MAX_DIGITS:
    return None
  value = Fraction(base)
  return (
    None if value == 0 and int(exponent) <= 0 else str(value ** int(exponent))
  )
