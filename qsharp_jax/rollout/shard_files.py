"""One shard of rollouts as a Parquet file: numpy columns to Arrow and back."""

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from qsharp_jax.core import files, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.data.ragged import Ragged
from qsharp_jax.rollout import columns
from qsharp_jax.rollout.columns import Rollouts

_TEXTS = ("text", "question")


def write(
  path: places.Path, rollouts: Rollouts, notes: Mapping[bytes, bytes | str]
) -> None:
  """Writes a shard, whole or not at all, with notes in its metadata."""
  import pyarrow
  from pyarrow import parquet

  schema = arrow_schema()
  table = pyarrow.table(
    [
      _to_arrow(name, column, schema.field(name).type)
      for name, column in rollouts.columns().items()
    ],
    schema=schema,
  ).replace_schema_metadata(notes)
  content = io.BytesIO()
  parquet.write_table(table, content, write_page_checksum=True)
  files.replace(path, content.getvalue())


def _to_arrow(name: str, column: np.ndarray | Ragged, kind):
  import pyarrow

  if isinstance(column, Ragged):
    offsets = np.concatenate([[0], np.cumsum(column.lengths)]).astype(np.int32)
    values = np.concatenate([np.zeros(0, np.int32), *column])
    return pyarrow.ListArray.from_arrays(offsets, values).cast(kind)
  # A NaN stands for what is not there, except in rewards.
  is_null = np.isnan(column) if name in columns.OPTIONAL_NUMBERS else None
  if pyarrow.types.is_boolean(kind):
    column = column.astype(bool)
  return pyarrow.array(column, kind, mask=is_null)


@contextlib.contextmanager
def readable(path: places.Path) -> Iterator[Any]:
  """What Arrow reads; turns what it says of a damaged shard into one line."""
  import pyarrow

  try:
    with places.seekable(path) as file:
      yield file
  except (OSError, ValueError, pyarrow.ArrowException) as error:
    reason = " ".join(str(error).split())
    raise InputError(
      f"{path} is no readable shard of rollouts ({reason}); delete it and "
      "run the same command again"
    ) from error


def read(path: places.Path, with_text: bool) -> Rollouts:
  """The rollouts of a shard; without their texts these are empty.

  Raises:
    InputError: a damaged shard, by its name.
  """
  import pyarrow
  from pyarrow import parquet

  names = [name for name in columns.DTYPES if with_text or name not in _TEXTS]
  schema = pyarrow.schema([arrow_schema().field(name) for name in names])
  with readable(path) as file:
    # Cast, not read with a schema: that fills a missing column with nulls.
    table = parquet.read_table(
      file,
      columns=None if with_text else names,
      page_checksum_verification=True,
    )
    table = table.cast(schema).combine_chunks()
  found = {name: _from_arrow(name, table[name]) for name in names}
  empty = {name: np.full(len(table), "", object) for name in _TEXTS}
  return Rollouts(**(empty | found))


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


def arrow_schema():
  """Column types of a shard."""
  import pyarrow as pa

  own = {"correct": pa.bool_()}  # null where there is no verdict
  kinds = {Ragged: pa.list_(pa.int32()), object: pa.string()}
  return pa.schema(
    [
      (name, own.get(name) or kinds.get(dtype) or pa.from_numpy_dtype(dtype))
      for name, dtype in columns.DTYPES.items()
    ]
  )
