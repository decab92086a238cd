"""GSM8K as a tensorflow-datasets data set, without TensorFlow.

Built from local JSONL files into array_record files, which are read at random
without TensorFlow. The only module that imports tensorflow_datasets, which is
an optional dependency (the extra `tfds`).
"""

import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import jsonl

_FIELDS = ("id", "question", "answer")


class QsharpGsm8k(tfds.core.GeneratorBasedBuilder):
  """GSM8K's questions and worked answers; not the catalogue's own builder."""

  VERSION = tfds.core.Version("1.0.0")

  def __init__(self, *, source: str = "", **kwargs: Any):
    """Makes a builder.

    Args:
      source: folder of `<split>.jsonl` files; needed only to prepare.
      **kwargs: tensorflow_datasets' own, above all `data_dir`.
    """
    self._source = pathlib.Path(source)
    super().__init__(**kwargs)

  def _info(self) -> tfds.core.DatasetInfo:
    text = {field: tfds.features.Text() for field in _FIELDS}
    return tfds.core.DatasetInfo(
      builder=self,
      description="Grade-school word problems with worked answers.",
      features=tfds.features.FeaturesDict(text),
      homepage="https://github.com/openai/grade-school-math",
    )

  def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
    del dl_manager  # nothing is downloaded
    files = sorted(self._source.glob("*.jsonl"))
    return {file.stem: self._generate_examples(file) for file in files}

  def _generate_examples(
    self, file: pathlib.Path
  ) -> Iterator[tuple[str, dict[str, str]]]:
    for question in jsonl.read(file):
      example = {field: getattr(question, field) for field in _FIELDS}
      yield question.id, example


def prepare(
  source: str | pathlib.Path, *, data_dir: str | pathlib.Path
) -> None:
  """Writes GSM8K as array_record files.

  Files that are already there stay, even if `source` has changed since.

  Args:
    source: folder of `<split>.jsonl` files, each line with "question" and
      "answer".
    data_dir: where to write.

  Raises:
    InputError: no JSONL file in `source`, or one of them is broken.
  """
  files = sorted(pathlib.Path(source).glob("*.jsonl"))
  if not files:
    raise InputError(f"{source}: no .jsonl file, expected train.jsonl, ...")
  for file in files:
    jsonl.read(file)  # a bad line must not leave half a data set
  builder = QsharpGsm8k(source=str(source), data_dir=str(data_dir))
  builder.download_and_prepare(file_format="array_record")


def read(
  data_dir: str | pathlib.Path, *, split: str
) -> Iterator[dict[str, str]]:
  """Rows of a prepared split, in the order of their ids' line numbers.

  Args:
    data_dir: the folder given to `prepare`.
    split: "train", "test", ...

  Returns:
    Dicts with "id", "question" and "answer".

  Raises:
    InputError: nothing prepared there, or no such split.
  """
  builder = QsharpGsm8k(data_dir=str(data_dir))
  if split not in builder.info.splits:
    raise InputError(
      f"{data_dir}: no prepared split {split!r}, found "
      f"{sorted(builder.info.splits)}; run gsm8k_tfds.prepare first"
    )
  rows = [
    {field: row[field].decode() for field in _FIELDS}
    for row in builder.as_data_source(split=split)
  ]
  # tensorflow_datasets stores examples in the order of their keys' hashes.
  return iter(sorted(rows, key=lambda row: int(row["id"].rsplit("-")[-1])))
