"""From one row of a data set to its questions and gold answers.

A parser takes a row and returns (question, answer) pairs, mostly one. An
`InputError` that it raises says what is wrong with the row; the reader of the
file puts the place before it.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import conversations

Parser = Callable[[Mapping[str, Any]], list[tuple[str, str]]]


@dataclasses.dataclass(frozen=True)
class Row:
  """One row of a data set, as its file has it.

  Attributes:
    id: unique within its source.
    place: FILE:LINE or the like, for errors.
    content: mostly an object.
  """

  id: str
  place: str
  content: Any


@dataclasses.dataclass(frozen=True)
class Question:
  """One problem.

  Attributes:
    id: unique within its source.
    question: the problem's text, or a conversation's (`conversations`).
    answer: the gold solution's text, final answer included; "" without one.
  """

  id: str
  question: str
  answer: str


def keyed(question_key: str, answer_key: str) -> Parser:
  """Rows that hold both under these keys.

  Args:
    question_key: of a text, or of a list of messages.
    answer_key: of a text; "": there are no answers.
  """

  def parse(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    answer = text(row, answer_key) if answer_key else ""
    return [(asked(row, question_key), answer)]

  return parse


def questions(row: Any, id_: str, place: str, parse: Parser) -> list[Question]:
  """All questions of a row.

  Args:
    row: an object with a question and its answer.
    id_: of the question; of several, the ids are `<id_>.<number>`.
    place: FILE:LINE or the like, for errors.
    parse: reads the row.

  Raises:
    InputError: not an object, or not one that `parse` can read.
  """
  if not isinstance(row, Mapping):
    raise InputError(
      f"{place}: got {type(row).__name__}, expected an object with a question "
      "and its answer; fix the line"
    )
  try:
    pairs = parse(row)
  except InputError as error:
    raise InputError(f"{place}: {error}") from error
  if len(pairs) == 1:
    return [Question(id_, *pairs[0])]
  return [
    Question(f"{id_}.{number}", *pair)
    for number, pair in enumerate(pairs, start=1)
  ]


def not_empty(questions: list[Question], place: str) -> list[Question]:
  """The questions, refused if there are none."""
  if not questions:
    raise InputError(f"{place}: no question in it; expected at least one")
  return questions


def asked(row: Mapping[str, Any], key: str) -> str:
  """The question under a key: a text, or messages as one."""
  if isinstance(row.get(key), list):
    return conversations.write(row[key])
  return text(row, key)


def text(row: Mapping[str, Any], key: str) -> str:
  """The text under a key; an InputError where there is none."""
  if not isinstance(row.get(key), str):
    found = "no" if key not in row else "a non-text"
    raise InputError(
      f"{found} value under the key {key!r}, keys there are "
      f"{errors.short(sorted(row), 300)}; fix it or name the right key"
    )
  return row[key]
