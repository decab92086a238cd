"""Competition mathematics: MATH, AIME, any problems with boxed answers."""

import re
from collections.abc import Mapping
from typing import Any

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import records
from qsharp_jax.rewards import extraction

_AIME_HIGHEST = 999


def problem(
  question_key: str, answer_key: str, *, solution_key: str = "solution"
) -> records.Parser:
  r"""Rows of problems, the answer by itself or in a worked solution's box.

  Args:
    question_key: field of the problem's text.
    answer_key: field of the bare answer, text or an integer. Rows without it,
      or with an empty one, must have a solution with a box.
    solution_key: field of the worked solution.

  Returns:
    The parser; answers are bare.
  """

  def parse(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    question = records.text(row, question_key)
    answer = row.get(answer_key)
    is_bare = answer_key != solution_key and answer not in (None, "")
    if is_bare:
      return [(question, _bare(row, answer_key))]
    boxed = None
    if solution_key in row:
      boxed = extraction.boxed(records.text(row, solution_key))
    if boxed is None:
      raise InputError(
        f"no {answer_key!r} and no \\boxed{{}} in {solution_key!r}, keys there "
        f"are {errors.short(sorted(row), 300)}; expected a problem with its "
        "answer: add it or drop the problem"
      )
    return [(question, boxed)]

  return parse


def aime(question_key: str, answer_key: str) -> records.Parser:
  """Rows of problems whose answers are whole numbers from 0 to 999, as in AIME.

  Args:
    question_key: as for `problem`.
    answer_key: as for `problem`.

  Returns:
    The parser; `042` becomes `42`.
  """
  parse_problem = problem(question_key, answer_key)

  def parse(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(text, _aime_number(answer)) for text, answer in parse_problem(row)]

  return parse


def _aime_number(answer: str) -> str:
  digits = answer.strip()
  is_number = re.fullmatch(r"[0-9]+", digits)
  if not is_number or int(digits) > _AIME_HIGHEST:
    raise InputError(
      f"the answer is {errors.short(answer, 80)}; expected a whole number "
      f"from 0 to {_AIME_HIGHEST}, as every AIME answer is: fix or drop the "
      "problem"
    )
  return str(int(digits))


def _bare(row: Mapping[str, Any], key: str) -> str:
  """A short answer; data sets write numbers as text, or as numbers."""
  value = row[key]
  return str(value) if type(value) is int else records.text(row, key)
