"""Questions with their gold answers, from JSONL files, the Hub or TFDS."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from qsharp_jax.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Question:
  """One problem.

  Attributes:
    id: unique within its source.
    question: the problem's text.
    answer: the gold solution's text, final answer included.
  """

  id: str
  question: str
  answer: str


def from_jsonl(
  path: str | pathlib.Path,
  *,
  question_key: str = "question",
  answer_key: str = "answer",
) -> list[Question]:
  r"""Reads one question a line; blank lines are skipped.

  Args:
    path: the file. Ids are `<stem>-<line>`, lines counted from 1.
    question_key: field of the problem's text ("problem" for MATH).
    answer_key: field of the gold solution ("solution" for MATH).

  Returns:
    The questions, in the file's order.

  Raises:
    InputError: no such file, a line that is not a JSON object, a missing field,
      or no question at all.
  """
  path = pathlib.Path(path)
  if not path.is_file():
    raise InputError(f"{path}: no such file, expected JSON lines; check it")
  questions = []
  with path.open(encoding="utf-8") as lines:
    for number, line in enumerate(_decoded(lines, path), start=1):
      if not line.strip():
        continue
      place = f"{path}:{number}"
      try:
        row = json.loads(line)
      except ValueError as error:
        raise InputError(
          f"{place}: not JSON ({error}); expected one object a line, fix it"
        ) from error
      questions.append(
        _question(
          row, f"{path.stem}-{number}", place, (question_key, answer_key)
        )
      )
  return _not_empty(questions, str(path))


def _decoded(lines: Iterable[str], path: pathlib.Path) -> Iterable[str]:
  try:
    yield from lines
  except UnicodeDecodeError as error:
    raise InputError(
      f"{path}: not UTF-8 ({error.reason} at byte {error.start}); "
      "save it as UTF-8"
    ) from error


def from_hub(
  name: str,
  *,
  config: str | None = None,
  split: str = "train",
  question_key: str = "question",
  answer_key: str = "answer",
) -> list[Question]:
  """Reads a data set through the `datasets` package (Hub id or local folder).

  Args:
    name: for example "openai/gsm8k".
    config: the data set's configuration, for example "main".
    split: "train", "test", ...
    question_key: field of the problem's text.
    answer_key: field of the gold solution.

  Returns:
    The questions; ids are `<split>-<row>`, rows counted from 1.

  Raises:
    InputError: the data set cannot be loaded, a field is missing, or it is
      empty.
  """
  import datasets

  try:
    rows = datasets.load_dataset(name, config, split=split)
  except (OSError, ValueError, RuntimeError) as error:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise InputError(
      f"hub data set {name!r}, config {config!r}, split {split!r} did not load "
      f"({reason}); check the three names and the network"
    ) from error
  keys = (question_key, answer_key)
  questions = [
    _question(row, f"{split}-{number}", f"{name} row {number}", keys)
    for number, row in enumerate(rows, start=1)
  ]
  return _not_empty(questions, name)


def from_tfds(data_dir: str | pathlib.Path, *, split: str) -> list[Question]:
  """Reads the GSM8K that `gsm8k_tfds.prepare` wrote under `data_dir`.

  Args:
    data_dir: the folder given to `gsm8k_tfds.prepare`.
    split: "train" or "test".

  Returns:
    The questions, with the ids of the JSONL files it was built from.

  Raises:
    InputError: nothing prepared there, no such split, or tensorflow_datasets is
      not installed.
  """
  try:
    from qsharp_jax.data import gsm8k_tfds
  except ImportError as error:
    raise InputError(
      f"reading {data_dir} needs tensorflow_datasets ({error}); install "
      "qsharp-jax[tfds]"
    ) from error
  rows = gsm8k_tfds.read(data_dir, split=split)
  return _not_empty([Question(**row) for row in rows], str(data_dir))


def load(
  source: str,
  *,
  split: str,
  question_key: str = "question",
  answer_key: str = "answer",
) -> list[Question]:
  """Reads questions from a source named by one string.

  Args:
    source: `jsonl:PATH` (a file, or a folder holding `<split>.jsonl`),
      `hub:NAME` or `hub:NAME:CONFIG`, or `tfds:FOLDER`.
    split: "train", "test", ...; a single JSONL file ignores it.
    question_key: field of the problem's text.
    answer_key: field of the gold solution.

  Returns:
    The questions, at least one.

  Raises:
    InputError: an unknown scheme, or whatever its reader finds wrong.
  """
  scheme, _, rest = source.partition(":")
  if scheme not in ("jsonl", "hub", "tfds") or not rest:
    raise InputError(
      f"source {source!r} is not jsonl:PATH, hub:NAME[:CONFIG] or tfds:FOLDER; "
      "write it as one of the three"
    )
  if scheme == "tfds":
    return from_tfds(rest, split=split)
  keys = {"question_key": question_key, "answer_key": answer_key}
  if scheme == "jsonl":
    path = pathlib.Path(rest)
    return from_jsonl(
      path / f"{split}.jsonl" if path.is_dir() else path, **keys
    )
  name, _, config = rest.partition(":")
  return from_hub(name, config=config or None, split=split, **keys)


def _question(
  row: Any, id_: str, place: str, keys: tuple[str, str]
) -> Question:
  if not isinstance(row, Mapping):
    raise InputError(
      f"{place}: got {type(row).__name__}, expected an object with the keys "
      f"{keys[0]!r} and {keys[1]!r}; fix the line"
    )
  for key in keys:
    if not isinstance(row.get(key), str):
      found = "no" if key not in row else "a non-text"
      raise InputError(
        f"{place}: {found} value under the key {key!r}, keys there are "
        f"{sorted(row)}; fix it or name the right key"
      )
  return Question(id_, row[keys[0]], row[keys[1]])


def _not_empty(questions: list[Question], place: str) -> list[Question]:
  if not questions:
    raise InputError(f"{place}: no question in it; expected at least one")
  return questions
