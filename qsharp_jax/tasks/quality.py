"""QuALITY: multiple choice about a passage of some thousand words.

Source: arXiv 2112.08608.
"""

import html
import re
from collections.abc import Mapping
from typing import Any

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import records

LETTERS = "ABCDEFGHIJ"
_LINE_BREAK = re.compile(r"(?i)<br\s*/?>|</(?:p|div|h[1-6]|li|tr)\s*>")
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]*>", re.DOTALL)


def multiple_choice(row: Mapping[str, Any]) -> list[tuple[str, str]]:
  """Rows with options: of one question, or QuALITY's, with an article's all.

  A QuALITY row has `article` and `questions`, a list of rows with `question`,
  `options` and `gold_label`, counted from 1. A row of one question has these
  itself, and may have an `article`; or, in place of `gold_label`, an `answer`:
  a letter, or one of the options.

  Returns:
    Questions that end with the lettered options and ask for the letter; the
    answers are letters.

  Source: QuALITY, arXiv 2112.08608.
  """
  article = _passage(records.text(row, "article")) if "article" in row else ""
  if "questions" not in row:
    return [_choice(row, article)]
  if not isinstance(row["questions"], list) or not row["questions"]:
    raise InputError(
      "'questions' is no list with a question in it; expected one for every "
      "question about the article"
    )
  found = []
  for number, own in enumerate(row["questions"], start=1):
    if not isinstance(own, Mapping):
      raise InputError(
        f"question {number}: got {type(own).__name__}, expected an object"
      )
    try:
      found.append(_choice(own, article))
    except InputError as error:
      raise InputError(f"question {number}: {error}") from error
  return found


def _choice(row: Mapping[str, Any], article: str) -> tuple[str, str]:
  """One question with lettered options, and the right letter."""
  question, options = records.text(row, "question"), row.get("options")
  is_list = isinstance(options, list) and all(
    isinstance(option, str) and option.strip() for option in options
  )
  if not is_list or not 2 <= len(options) <= len(LETTERS):
    raise InputError(
      f"'options' is {errors.short(options, 80)}; expected a list of 2 to "
      f"{len(LETTERS)} texts"
    )
  lettered = [
    f"{letter}. {option.strip()}"
    for letter, option in zip(LETTERS, options, strict=False)
  ]
  letters = LETTERS[: len(options)]
  text = "\n".join(
    [
      *([article, ""] if article else []),
      question.strip(),
      *lettered,
      f"Answer with one letter, {letters[0]} to {letters[-1]}.",
    ]
  )
  return text, _letter(row, options)


def _letter(row: Mapping[str, Any], options: list[str]) -> str:
  letters = LETTERS[: len(options)]
  if "gold_label" in row:
    label = row["gold_label"]
    if type(label) is not int or not 1 <= label <= len(options):
      raise InputError(
        f"'gold_label' is {errors.short(label, 80)}; expected a number from 1 "
        f"to {len(options)}, one for each option"
      )
    return letters[label - 1]
  answer = records.text(row, "answer").strip()
  if len(answer) == 1 and answer in letters:
    return answer
  if options.count(answer) == 1:
    return letters[options.index(answer)]
  raise InputError(
    f"'answer' is {errors.short(answer, 80)}; expected a letter from "
    f"{letters[0]} to {letters[-1]}, or one of the options, word for word"
  )


def _passage(article: str) -> str:
  """An article without its HTML; paragraphs stay apart."""
  text = _TAG.sub("", _LINE_BREAK.sub("\n", article))
  lines = [" ".join(line.split()) for line in html.unescape(text).splitlines()]
  return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
