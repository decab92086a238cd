"""How little an answer repeats itself; words and pure counting."""

import re
from collections.abc import Iterable

_WORD = re.compile(r"\w+|[^\w\s]")
_SIZES = (2, 3, 4)


def diversity(text: str) -> float:
  """The product over n = 2, 3, 4 of the share of distinct n-grams.

  The share is distinct / (all + 1), as the field's released metrics count: a
  text without repetition approaches 1 with its length, one of fewer than five
  words has 0 or little. Compare answers of like length.

  Args:
    text: an answer; its words and signs are counted.

  Returns:
    A number from 0 to 1.

  Source: arXiv 2202.06417, section 4 (diversity), with the smoothing of
    Transfer Q*'s evaluation (arXiv 2405.20495).
  """
  words = _WORD.findall(text)
  found = 1.0
  for size in _SIZES:
    grams = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    found *= len(set(grams)) / (len(grams) + 1)
  return found


def mean_diversity(texts: Iterable[str]) -> float:
  """The mean over answers; NaN of none."""
  found = [diversity(text) for text in texts]
  return sum(found) / len(found) if found else float("nan")
