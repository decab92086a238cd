"""Rollouts on disk: Parquet shards that any tool reads, written atomically."""

import dataclasses
import io
import json
import pathlib
from collections.abc import Callable, Iterable

import numpy as np

from qsharp_jax.core import files
from qsharp_jax.core.errors import InputError
from qsharp_jax.data.ragged import Ragged
from qsharp_jax.rollout import columns
from qsharp_jax.rollout.columns import Rollout, Rollouts
from qsharp_jax.sharding import processes

_LAYOUT = "layout.json"


def shard_path(directory: str | pathlib.Path, index: int) -> pathlib.Path:
  """Path of one shard."""
  return pathlib.Path(directory) / f"shard-{index:05d}.parquet"


def shard_size(directory: str | pathlib.Path, *, default: int) -> int:
  """Problems of a shard of this store: what it was begun with, or `default`."""
  file = pathlib.Path(directory) / _LAYOUT
  if not file.exists():
    return default
  size = files.read_json_object(file).get("problems_per_shard")
  if not isinstance(size, int) or size < 1:
    raise InputError(
      f"{file} does not say how many problems a shard has; delete {directory} "
      "and run the same command again"
    )
  return size


def keep_shard_size(directory: str | pathlib.Path, size: int) -> None:
  """Notes the size, for a run that completes the store with another."""
  file = pathlib.Path(directory) / _LAYOUT
  if not file.exists():
    files.replace(file, json.dumps({"problems_per_shard": size}) + "\n")


def write_shard(
  directory: str | pathlib.Path,
  index: int,
  rollouts: Rollouts | Iterable[Rollout],
) -> None:
  """Writes one shard; it appears whole or not at all."""
  if not isinstance(rollouts, Rollouts):
    rollouts = Rollouts.of(rollouts)
  _write(shard_path(directory, index), rollouts)


def read(
  directory: str | pathlib.Path,
  *,
  shards: Iterable[int] | None = None,
  with_text: bool = True,
) -> Rollouts:
  """The rollouts of a directory, shard by shard, in order.

  Args:
    directory: holds the shards; one that is absent holds no rollouts.
    shards: indices of the shards to read; None for all that are there.
    with_text: False leaves the texts out, as training does: each is "".

  Raises:
    InputError: a shard that is not a Parquet file of rollouts.
  """
  import pyarrow

  paths = _paths(directory)
  if shards is not None:
    paths = [shard_path(directory, index) for index in shards]
  found = Rollouts.concatenate([_read(path, with_text) for path in paths])
  # Arrow keeps what it freed for its next table; there is none.
  pyarrow.default_memory_pool().release_unused()
  return found


def with_values(
  directory: str | pathlib.Path, judge: Callable[[Rollouts], np.ndarray]
) -> Rollouts:
  """Judges all rollouts of a directory, and keeps the values beside them.

  All processes call it together; the main one writes the column `value` into
  the shards, each replaced whole. A second call judges again. Other processes
  may read the shards after the next barrier, such as a stage's end.

  Args:
    directory: holds the shards.
    judge: rollouts (without texts) to the value of each, in reward units [S].

  Returns:
    The rollouts, without texts, with their values.
  """
  paths = _paths(directory)
  parts = [_read(path, with_text=False) for path in paths]
  found = Rollouts.concatenate(parts)
  found = dataclasses.replace(found, value=np.asarray(judge(found), np.float64))
  ends = np.cumsum([len(part) for part in parts])[:-1]
  for path, values in zip(paths, np.split(found.value, ends), strict=True):
    if processes.is_main():
      _write(path, dataclasses.replace(_read(path, True), value=values))
  return found


def _paths(directory: str | pathlib.Path) -> list[pathlib.Path]:
  return sorted(pathlib.Path(directory).glob("shard-*.parquet"))


def _write(path: pathlib.Path, rollouts: Rollouts) -> None:
  import pyarrow
  from pyarrow import parquet

  schema = _schema()
  table = pyarrow.table(
    [
      _to_arrow(name, column, schema.field(name).type)
      for name, column in rollouts.columns().items()
    ],
    schema=schema,
  )
  content = io.BytesIO()
  parquet.write_table(table, content, write_page_checksum=True)
  files.replace(path, content.getvalue())


def _to_arrow(name: str, column: np.ndarray | Ragged, kind):
  import pyarrow

  if isinstance(column, Ragged):
    offsets = np.concatenate([[0], np.cumsum(column.lengths)]).astype(np.int32)
    values = np.concatenate([np.zeros(0, np.int32), *column])
    return pyarrow.ListArray.from_arrays(offsets, values).cast(kind)
  # A NaN stands for what is not there, except in rewards and divergences.
  is_null = np.isnan(column) if name in columns.OPTIONAL_NUMBERS else None
  return pyarrow.array(column, kind, mask=is_null)


def _read(path: pathlib.Path, with_text: bool) -> Rollouts:
  import pyarrow
  from pyarrow import parquet

  names = [name for name in columns.DTYPES if with_text or name != "text"]
  schema = pyarrow.schema([_schema().field(name) for name in names])
  try:
    # Cast, not read with a schema: that fills a missing column with nulls.
    table = parquet.read_table(
      path,
      columns=None if with_text else names,
      page_checksum_verification=True,
    )
    table = table.cast(schema).combine_chunks()
  except (OSError, ValueError, pyarrow.ArrowException) as error:
    reason = " ".join(str(error).split())
    raise InputError(
      f"{path} is no readable shard of rollouts ({reason}); delete it and "
      "run the same command again"
    ) from error
  found = {name: _from_arrow(name, table[name]) for name in names}
  found.setdefault("text", np.full(len(table), "", object))
  return Rollouts(**found)


def _from_arrow(name: str, column) -> np.ndarray | Ragged:
  """A column, taken over without a copy where its type allows it."""
  import pyarrow

  dtype = columns.DTYPES[name]
  kind = column.type
  array = column.chunk(0) if column.num_chunks else pyarrow.array([], kind)
  if dtype is Ragged:
    values = array.values.to_numpy(zero_copy_only=False).astype(
      np.int32, copy=False
    )
    return Ragged.from_offsets(values, array.offsets.to_numpy())
  if dtype is object:
    coded = array.dictionary_encode()
    strings = [*coded.dictionary.to_pylist(), None]
    codes = coded.indices.fill_null(len(strings) - 1).to_numpy()
    return np.array(strings, object)[codes]
  return array.to_numpy(zero_copy_only=False).astype(dtype, copy=False)


def _schema():
  """Column types of a shard."""
  import pyarrow as pa

  kinds = {Ragged: pa.list_(pa.int32()), object: pa.string()}
  return pa.schema(
    [
      (name, kinds.get(dtype) or pa.from_numpy_dtype(dtype))
      for name, dtype in columns.DTYPES.items()
    ]
  )
