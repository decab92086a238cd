"""Rows of Parquet files, as the Hub keeps data sets."""

from collections.abc import Iterator

from qsharp_jax.core import errors, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import records


def rows(path: places.Path) -> Iterator[records.Row]:
  """The rows of a file, one after another.

  Args:
    path: the file. Ids are `<stem>-<row>`, rows counted from 1.

  Raises:
    InputError: no such file, or a damaged one.
  """
  with places.reached(path):
    is_file = path.is_file()
  if not is_file:
    raise InputError(f"{path}: no such file, expected Parquet; check it")
  from pyarrow import parquet  # slow to import

  with (
    errors.foreign(f"{path} is no readable Parquet file", "fetch it again"),
    places.seekable(path) as file,
  ):
    found = parquet.read_table(file).to_pylist()
  for number, content in enumerate(found, start=1):
    place = f"{path} row {number}"
    yield records.Row(f"{path.stem}-{number}", place, content)
