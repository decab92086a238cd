"""One shard: plain Parquet, taken over without a copy, refused when damaged."""

import dataclasses

import numpy as np
import pyarrow
import pytest
from oracles import rollouts as make
from pyarrow import parquet

from qsharp_jax.core.errors import InputError
from qsharp_jax.rollout import store

ROLLOUTS = [
  make.rollout("a", 0, eta=0.1, label=0.3, kl=1.1, seed=2**32 - 1, value=0.7),
  make.rollout("a", 1, tokens=[], text="", extracted=None, seconds=1 / 3),
  make.rollout("ünï\n", 0, text="ä\x00\n漢", error="no answer", ended=False),
]


def test_tokens_are_taken_over_from_arrow(tmp_path):
  store.write_shard(tmp_path, 0, ROLLOUTS)
  found = store.read(tmp_path)
  assert found.tokens.values.dtype == np.int32
  assert not found.tokens.values.flags.owndata
  assert isinstance(found[0].tokens, np.ndarray)


def test_a_shard_is_plain_parquet(tmp_path):
  store.write_shard(tmp_path, 3, ROLLOUTS)
  table = parquet.read_table(tmp_path / "shard-00003.parquet")
  names = [field.name for field in dataclasses.fields(store.Rollout)]
  assert table.column_names == names
  assert table["tokens"].to_pylist() == [r.tokens for r in ROLLOUTS]
  # What is not there is null, for other tools.
  assert table["eta"].to_pylist() == [0.1, None, None]
  assert table["value"].to_pylist() == [0.7, None, None]


def half(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def hole(path):
  content = bytearray(path.read_bytes())
  content[4:200] = bytes(196)
  path.write_bytes(content)


def one_bit(path):
  content = bytearray(path.read_bytes())
  place = content.index(ROLLOUTS[2].text.encode())
  content[place + 2] ^= 1
  path.write_bytes(content)


def other_table(path):
  parquet.write_table(pyarrow.table({"question_id": ["a"]}), path)


def other_types(path):
  table = parquet.read_table(path)
  column = pyarrow.array(["many"] * len(table))
  index = table.column_names.index("tokens")
  parquet.write_table(table.set_column(index, "tokens", column), path)


@pytest.mark.parametrize(
  "damage",
  [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_text("not a table"),
    half,
    hole,
    one_bit,
    other_table,
    other_types,
  ],
  ids=[
    "empty",
    "text",
    "half",
    "hole",
    "one_bit",
    "other_table",
    "other_types",
  ],
)
def test_a_damaged_shard_is_named(tmp_path, damage):
  for index in (0, 1):
    store.write_shard(tmp_path, index, ROLLOUTS)
  damage(store.shard_path(tmp_path, 1))
  with pytest.raises(InputError, match="shard-00001.parquet") as error:
    list(store.read(tmp_path))
  assert "delete it" in str(error.value) and "\n" not in str(error.value)
