import pyarrow
import pytest
from pyarrow import parquet as pyarrow_parquet

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import parquet


def test_rows_are_plain_data_with_places(tmp_path):
  content = [{"a": "x", "b": [{"c": 1}]}, {"a": None, "b": []}]
  file = tmp_path / "some.parquet"
  pyarrow_parquet.write_table(pyarrow.Table.from_pylist(content), file)
  found = list(parquet.rows(file))
  assert [row.content for row in found] == content
  assert [row.id for row in found] == ["some-1", "some-2"]
  assert found[1].place == f"{file} row 2"


def test_no_file_and_another_file_are_refused(tmp_path):
  file = tmp_path / "some.parquet"
  with pytest.raises(InputError, match="no such file, expected Parquet"):
    list(parquet.rows(file))
  file.write_text("no columns")
  with pytest.raises(InputError, match="no readable Parquet file") as error:
    list(parquet.rows(file))
  assert "\n" not in str(error.value)
