r"""From one row of a data set to its questions and gold answers.

A parser takes a row and returns (question, answer) pairs, mostly one. An
`InputError` that it raises says what is wrong with the row; who reads the file
puts the place before it.
"""

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

from qsharp_jax.core.errors import InputError

Parser = Callable[[Mapping[str, Any]], list[tuple[str, str]]]

LETTERS = "ABCDEFGHIJ"
_AIME_HIGHEST = 999
_LINE_BREAK = re.compile(r"(?i)<br\s*/?>|</(?:p|div|h[1-6]|li|tr)\s*>")
_TAG = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]*>", re.DOTALL)


def keyed(question_key: str, answer_key: str) -> Parser:
  """Rows that hold both as text, under these keys."""

  def parse(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(_text(row, question_key), _text(row, answer_key))]

  return parse


def problem(
  question_key: str,
  answer_key: str,
  *,
  solution_key: str = "solution",
  last_box: Callable[[str], str | None],
) -> Parser:
  r"""Competition problems, the answer by itself or in a worked solution's box.

  Args:
    question_key: field of the problem's text.
    answer_key: field of the bare answer, text or an integer. Rows without it,
      or with an empty one, must have a solution with a box.
    solution_key: field of the worked solution.
    last_box: cuts the content of the last `\boxed{}` out of a text.

  Returns:
    The parser; answers are bare.
  """

  def parse(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    question = _text(row, question_key)
    answer = row.get(answer_key)
    is_bare = answer_key != solution_key and answer not in (None, "")
    if is_bare:
      return [(question, _bare(row, answer_key))]
    boxed = last_box(_text(row, solution_key)) if solution_key in row else None
    if boxed is None:
      raise InputError(
        f"no {answer_key!r} and no \\boxed{{}} in {solution_key!r}, keys there "
        f"are {sorted(row)}; expected a problem with its answer: add it or "
        "drop the problem"
      )
    return [(question, boxed)]

  return parse


def aime(problems: Parser) -> Parser:
  """Problems whose answers are whole numbers from 0 to 999, as in AIME.

  Args:
    problems: finds question and answer.

  Returns:
    The parser; `042` becomes `42`.
  """

  def parse(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(text, _aime_number(answer)) for text, answer in problems(row)]

  return parse


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
  article = _passage(_text(row, "article")) if "article" in row else ""
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
  question, options = _text(row, "question"), row.get("options")
  is_list = isinstance(options, list) and all(
    isinstance(option, str) and option.strip() for option in options
  )
  if not is_list or not 2 <= len(options) <= len(LETTERS):
    raise InputError(
      f"'options' is {_cut(options)}; expected a list of 2 to {len(LETTERS)} "
      "texts"
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
        f"'gold_label' is {_cut(label)}; expected a number from 1 to "
        f"{len(options)}, one for each option"
      )
    return letters[label - 1]
  answer = _text(row, "answer").strip()
  if len(answer) == 1 and answer in letters:
    return answer
  if options.count(answer) == 1:
    return letters[options.index(answer)]
  raise InputError(
    f"'answer' is {_cut(answer)}; expected a letter from {letters[0]} to "
    f"{letters[-1]}, or one of the options, word for word"
  )


def _passage(article: str) -> str:
  """An article without its HTML; paragraphs stay apart."""
  text = _TAG.sub("", _LINE_BREAK.sub("\n", article))
  lines = [" ".join(line.split()) for line in html.unescape(text).splitlines()]
  return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _aime_number(answer: str) -> str:
  digits = answer.strip()
  is_number = re.fullmatch(r"[0-9]+", digits)
  if not is_number or int(digits) > _AIME_HIGHEST:
    raise InputError(
      f"the answer is {_cut(answer)}; expected a whole number from 0 to "
      f"{_AIME_HIGHEST}, as every AIME answer is: fix or drop the problem"
    )
  return str(int(digits))


def _bare(row: Mapping[str, Any], key: str) -> str:
  """A short answer; data sets write numbers as text, or as numbers."""
  value = row[key]
  return str(value) if type(value) is int else _text(row, key)


def _text(row: Mapping[str, Any], key: str) -> str:
  if not isinstance(row.get(key), str):
    found = "no" if key not in row else "a non-text"
    raise InputError(
      f"{found} value under the key {key!r}, keys there are {sorted(row)}; fix "
      "it or name the right key"
    )
  return row[key]


def _cut(value: Any) -> str:
  text = repr(value)
  return text if len(text) <= 80 else text[:80] + "…"
