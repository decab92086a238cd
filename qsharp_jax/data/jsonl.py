"""Questions with their gold answers, from files of JSON lines."""

import io
import json
import os
from collections.abc import Iterable, Iterator

from qsharp_jax.core import errors, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import records


def read(
  path: str | os.PathLike,
  *,
  question_key: str = "question",
  answer_key: str = "answer",
  parse: records.Parser | None = None,
) -> list[records.Question]:
  r"""Reads one question a line; blank lines are skipped.

  Args:
    path: the file. Ids are `<stem>-<line>`, lines counted from 1.
    question_key: field of the problem's text ("problem" for MATH).
    answer_key: field of the gold solution ("solution" for MATH); "" where there
      is none.
    parse: reads a row in the place of the two keys. Of several questions in a
      line, the ids are `<stem>-<line>.<number>`.

  Returns:
    The questions, in the file's order.

  Raises:
    InputError: no such file, a line that is not a JSON object, a missing field,
      or no question at all.
  """
  path = places.path(path)
  parse = parse or records.keyed(question_key, answer_key)
  questions = [
    question
    for row in rows(path)
    for question in records.questions(row.content, row.id, row.place, parse)
  ]
  return records.not_empty(questions, str(path))


def rows(path: places.Path) -> Iterator[records.Row]:
  """The rows of a file, one a line; blank lines are skipped.

  Args:
    path: the file. Ids are `<stem>-<line>`, lines counted from 1.

  Raises:
    InputError: no such file, or a line that is not JSON.
  """
  with places.reached(path):
    is_file = path.is_file()
  if not is_file:
    raise InputError(f"{path}: no such file, expected JSON lines; check it")
  with (
    path.open("rb") as file,
    io.TextIOWrapper(file, encoding="utf-8-sig") as lines,
  ):
    for number, line in enumerate(_decoded(lines, path), start=1):
      if not line.strip():
        continue
      place = f"{path}:{number}"
      try:
        row = json.loads(line)
      except (ValueError, RecursionError) as error:
        raise InputError(
          f"{place}: not JSON ({errors.reason(error)}); expected one object a "
          "line, fix it"
        ) from error
      yield records.Row(f"{path.stem}-{number}", place, row)


def _decoded(lines: Iterable[str], path: places.Path) -> Iterable[str]:
  try:
    yield from lines
  except UnicodeDecodeError as error:
    raise InputError(
      f"{path}: not UTF-8 ({error.reason} at byte {error.start}); "
      "save it as UTF-8"
    ) from error
