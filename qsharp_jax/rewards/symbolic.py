"""The last word on two answers: math-verify, seeded, its yes checked.

math-verify takes numbers for equal that agree in six decimals or whose
difference rounds to zero, and draws numbers to test what it cannot simplify.
"""

import functools
import logging
import re
import string

_DIGITS = 40  # of the numbers that check a yes
_TOLERANCE = "1e-20"  # relative


def same(gold: str, prediction: str) -> bool:
  """Whether math-verify takes two canonical answers for the same, rightly.

  A function of its two strings: what it draws is drawn from one seed, and an
  infinite or undefined prediction is never a finite gold.
  """
  # Imported here: it takes 0.3 s that the number graders need not pay.
  import math_verify
  import sympy.core.random

  if _letters(gold) != _letters(prediction) and (
    _letters(gold.lower()) == _letters(prediction.lower())
  ):
    return False  # X and x are two letters; math-verify makes them one
  # It warns, once a process, that its time limits are off; we know.
  logging.getLogger("math_verify").setLevel(logging.ERROR)
  sympy.core.random.seed(0)
  left, right = _parsed(gold), _parsed(prediction)
  # First, as it is faster than to simplify the difference of two values.
  if _differ(left, right):
    return False
  return math_verify.verify(
    left, right, numeric_precision=_DIGITS, timeout_seconds=None
  )


def _letters(text: str) -> set[str]:
  return set(re.sub(r"\\[A-Za-z]+", "", text)) & set(string.ascii_letters)


@functools.lru_cache(maxsize=1)
def _configuration():
  import math_verify
  from latex2sympy2_extended import NormalizationConfig

  # Units are ours: its list of them takes the `a b` of `5 a b` for one.
  return math_verify.LatexExtractionConfig(
    try_extract_without_anchor=False,
    boxed_match_priority=0,
    normalization_config=NormalizationConfig(
      basic_latex=True,
      units=False,
      malformed_operators=True,
      nits=True,
      boxed="all",
      equations=False,
    ),
  )


def _parsed(content: str) -> list:
  """What math-verify reads, decimals as exact fractions, i as a number."""
  import math_verify

  # LaTeX only: the plain-expression reader would evaluate model text. One
  # box around one answer: two boxes in a text would be read as a set.
  box = "\\boxed{" + content + "}"
  parsed = math_verify.parse(box, [_configuration()], parsing_timeout=None)
  return [_exact(expression) for expression in parsed]


def _exact(expression):
  import sympy

  try:
    exact = {f: sympy.Rational(str(f)) for f in expression.atoms(sympy.Float)}
    for symbol in expression.atoms(sympy.Symbol):
      if symbol.name == "i":
        exact[symbol] = sympy.I
    return expression.xreplace(exact)
  except Exception:  # strings, matrices of odd kinds
    return expression


def _differ(left: list, right: list) -> bool:
  """Whether two expressions have values that are not the same."""
  import sympy

  if not (left and right):
    return False
  gold, prediction = left[0], right[0]
  if isinstance(gold, sympy.Eq) != isinstance(prediction, sympy.Eq):
    gold, prediction = (
      e.rhs if isinstance(e, sympy.Eq) else e for e in (gold, prediction)
    )
  if not isinstance(gold, sympy.Expr) or not isinstance(prediction, sympy.Expr):
    return False
  try:
    return not _close(gold, prediction)
  except Exception:  # no value: math-verify's word stands
    return False


def _close(gold, prediction) -> bool:
  import sympy

  symbols = sorted(gold.free_symbols | prediction.free_symbols, key=str)
  # Positive and none the simple multiple of another.
  point = {
    symbol: sympy.Rational(sympy.prime(i + 9), sympy.prime(i + 4))
    for i, symbol in enumerate(symbols)
  }
  a, b = (e.doit().xreplace(point) for e in (gold, prediction))
  if a.has(sympy.zoo, sympy.nan) or b.has(sympy.zoo, sympy.nan):
    return False  # 1/0 and what is made of it has no value
  if isinstance(a, sympy.Rational) and isinstance(b, sympy.Rational):
    return a == b
  if _is_infinite(b) and not _is_infinite(a):
    return False
  a, b = a.evalf(_DIGITS), b.evalf(_DIGITS)
  if not (a.is_number and b.is_number):
    return True
  if _is_infinite(b) or _is_infinite(a):
    return a == b
  bound = sympy.Float(_TOLERANCE) * max(abs(a), abs(b))
  return bool(abs(a - b) <= bound)


def _is_infinite(value) -> bool:
  import sympy

  return value.has(sympy.oo, sympy.zoo, sympy.nan)
