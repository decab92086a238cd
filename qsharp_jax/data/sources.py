"""Questions with their gold answers, from JSONL files, the Hub or TFDS."""

import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import records


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
  parse: records.Parser | None = None,
) -> list[Question]:
  r"""Reads one question a line; blank lines are skipped.

  Args:
    path: the file. Ids are `<stem>-<line>`, lines counted from 1.
    question_key: field of the problem's text ("problem" for MATH).
    answer_key: field of the gold solution ("solution" for MATH).
    parse: reads a row in the place of the two keys. Of several questions in a
      line, the ids are `<stem>-<line>.<number>`.

  Returns:
    The questions, in the file's order.

  Raises:
    InputError: no such file, a line that is not a JSON object, a missing field,
      or no question at all.
  """
  path = pathlib.Path(path)
  parse = parse or records.keyed(question_key, answer_key)
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
      questions += _questions(row, f"{path.stem}-{number}", place, parse)
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
  parse: records.Parser | None = None,
) -> list[Question]:
  """Reads a data set through the `datasets` package (Hub id or local folder).

  Args:
    name: for example "openai/gsm8k".
    config: the data set's configuration, for example "main".
    split: "train", "test", ...
    question_key: field of the problem's text.
    answer_key: field of the gold solution.
    parse: as for `from_jsonl`.

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
  parse = parse or records.keyed(question_key, answer_key)
  questions = [
    question
    for number, row in enumerate(rows, start=1)
    for question in _questions(
      row, f"{split}-{number}", f"{name} row {number}", parse
    )
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
  parse: records.Parser | None = None,
) -> list[Question]:
  """Reads questions from a source named by one string.

  Args:
    source: `jsonl:PATH` (a file, or a folder holding `<split>.jsonl`),
      `hub:NAME`, `hub:NAME:CONFIG` or `hub:NAME:CONFIG:SPLIT`, or
      `tfds:FOLDER`.
    split: "train", "test", ...; a single JSONL file ignores it, and so does a
      source that names its split.
    question_key: field of the problem's text.
    answer_key: field of the gold solution.
    parse: reads a row in the place of the two keys; not for TFDS, whose
      folders are written with "question" and "answer".

  Returns:
    The questions, at least one.

  Raises:
    InputError: an unknown scheme, or whatever its reader finds wrong.
  """
  scheme, _, rest = source.partition(":")
  if scheme not in ("jsonl", "hub", "tfds") or not rest:
    raise InputError(
      f"source {source!r} is not jsonl:PATH, hub:NAME[:CONFIG[:SPLIT]] or "
      "tfds:FOLDER; write it as one of the three"
    )
  if scheme == "tfds":
    if parse is not None:
      raise InputError(
        f"{source} holds questions with their answers already; expected a "
        "source without math:, aime: or quality: before tfds:"
      )
    return from_tfds(rest, split=split)
  keys = {"question_key": question_key, "answer_key": answer_key}
  keys |= {"parse": parse}
  if scheme == "jsonl":
    path = pathlib.Path(rest)
    return from_jsonl(
      path / f"{split}.jsonl" if path.is_dir() else path, **keys
    )
  name, _, rest = rest.partition(":")
  config, _, own_split = rest.partition(":")
  return from_hub(name, config=config or None, split=own_split or split, **keys)


def _questions(
  row: Any, id_: str, place: str, parse: records.Parser
) -> list[Question]:
  """All questions of a row."""
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


def _not_empty(questions: list[Question], place: str) -> list[Question]:
  if not questions:
    raise InputError(f"{place}: no question in it; expected at least one")
  return questions
