"""Questions with their gold answers, from JSONL files, the Hub or TFDS."""

import logging
import os
from collections.abc import Iterable

from qsharp_jax.core import errors, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import jsonl, parquet, records
from qsharp_jax.data.records import Question


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
    question_key: field of the problem's text, or of a conversation's messages.
    answer_key: field of the gold solution; "" where there is none.
    parse: as for `jsonl.read`.

  Returns:
    The questions; ids are `<split>-<row>`, rows counted from 1.

  Raises:
    InputError: the data set cannot be loaded, a field is missing, or it is
      empty.
  """
  parse = parse or records.keyed(question_key, answer_key)
  questions = [
    question
    for row in hub_rows(name, config=config, split=split)
    for question in records.questions(row.content, row.id, row.place, parse)
  ]
  return records.not_empty(questions, name)


def hub_rows(
  name: str, *, config: str | None = None, split: str = "train"
) -> list[records.Row]:
  """The rows of a data set of the Hub; arguments as for `from_hub`.

  Raises:
    InputError: the data set cannot be loaded.
  """
  if places.is_remote(name):
    raise InputError(
      f"hub:{name} is in a bucket, which the datasets package does not read "
      "here; copy it to a local folder, or name its files by jsonl:"
    )
  import datasets

  # Its own report of what it could not read; the reason is told below.
  quiet = logging.getLogger("datasets")
  level = quiet.level
  quiet.setLevel(logging.CRITICAL)
  try:
    rows = list(datasets.load_dataset(name, config, split=split))
  except Exception as error:  # readers of each format have their own
    cause = error
    while cause.__cause__ is not None:  # the one that names the fault
      cause = cause.__cause__
    raise InputError(
      f"hub data set {name!r}, config {config!r}, split {split!r} did not load "
      f"({errors.reason(cause)}); check its files, the three names and the "
      "network"
    ) from error
  finally:
    quiet.setLevel(level)
  return [
    records.Row(f"{split}-{number}", f"{name} row {number}", row)
    for number, row in enumerate(rows, start=1)
  ]


def rows(source: str, *, split: str) -> Iterable[records.Row]:
  """The rows of a source named by one string, as its files have them.

  Args:
    source: `jsonl:PATH` or `parquet:PATH` (a file, or a folder holding
      `<split>.jsonl` or `<split>.parquet`), or `hub:NAME[:CONFIG[:SPLIT]]`.
    split: "train", "test", ...; a single file ignores it, and so does a source
      that names its split.

  Raises:
    InputError: an unknown scheme, no such file, or a row that is none.
  """
  scheme, _, rest = source.partition(":")
  if scheme not in ("jsonl", "parquet", "hub") or not rest:
    raise InputError(
      f"source {source!r} is not jsonl:PATH, parquet:PATH or "
      "hub:NAME[:CONFIG[:SPLIT]]; write it as one of the three"
    )
  if scheme == "hub":
    return hub_rows(**_hub_name(rest, split))
  path = places.path(rest)
  if path.is_dir():
    path = path / f"{split}.{scheme}"
  return jsonl.rows(path) if scheme == "jsonl" else parquet.rows(path)


def from_tfds(data_dir: str | os.PathLike, *, split: str) -> list[Question]:
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
  rows = gsm8k_tfds.read(places.local(data_dir), split=split)
  return records.not_empty([Question(**row) for row in rows], str(data_dir))


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
    question_key: field of the problem's text, or of a conversation's messages.
    answer_key: field of the gold solution; "" where there is none.
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
    path = places.path(rest)
    return jsonl.read(
      path / f"{split}.jsonl" if path.is_dir() else path, **keys
    )
  return from_hub(**_hub_name(rest, split), **keys)


def _hub_name(rest: str, split: str) -> dict[str, str | None]:
  """Name, configuration and split of NAME[:CONFIG[:SPLIT]]."""
  name, _, rest = rest.partition(":")
  config, _, own_split = rest.partition(":")
  return {"name": name, "config": config or None, "split": own_split or split}
