"""Shards on disk: whole, exact, refused when damaged."""

import dataclasses
import os

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


def plain(rollouts):
  return [make.plain(row) for row in rollouts]


def test_what_is_read_is_what_was_written(tmp_path):
  store.write_shard(tmp_path / "new" / "folder", 0, ROLLOUTS)
  found = store.read(tmp_path / "new" / "folder")
  assert plain(found) == plain(ROLLOUTS)
  # Columns, and a selection of them, are written as their rows are.
  chosen = np.array([2, 0])
  store.write_shard(tmp_path / "again", 0, found.take(chosen))
  assert plain(store.read(tmp_path / "again")) == plain(
    [ROLLOUTS[2], ROLLOUTS[0]]
  )


def test_some_shards_without_their_texts(tmp_path):
  for index in range(4):
    store.write_shard(tmp_path, index, [make.rollout(f"q{index}")])
  found = store.read(tmp_path, shards=[3, 1], with_text=False)
  assert [(r.question_id, r.text) for r in found] == [("q3", ""), ("q1", "")]
  with pytest.raises(InputError, match="shard-00004"):
    store.read(tmp_path, shards=[4])


def test_values_are_kept_beside_the_rollouts(tmp_path):
  store.write_shard(tmp_path, 0, ROLLOUTS)
  store.write_shard(tmp_path, 1, ROLLOUTS[:1])
  judge = lambda rollouts: 10.0 * np.arange(len(rollouts))
  assert not store.is_judged(tmp_path)
  found = store.with_values(tmp_path, judge)
  assert store.is_judged(tmp_path)
  assert found.value.tolist() == [0, 10, 20, 30]
  want = [
    dataclasses.replace(row, value=10.0 * i)
    for i, row in enumerate([*ROLLOUTS, ROLLOUTS[0]])
  ]
  assert plain(store.read(tmp_path)) == plain(want)


def test_one_rollout_without_a_value_is_seen(tmp_path):
  store.write_shard(tmp_path, 0, [make.rollout("a", 0, value=1.0)])
  assert store.is_judged(tmp_path)
  rows = [make.rollout("a", 0, value=0.0), make.rollout("a", 1)]
  store.write_shard(tmp_path, 1, rows)
  assert not store.is_judged(tmp_path)


@pytest.mark.parametrize("content", ["no Parquet", "no such column"])
def test_a_shard_whose_values_cannot_be_read_is_named(tmp_path, content):
  path = store.shard_path(tmp_path, 0)
  path.write_bytes(b"PAR1")
  if content == "no such column":
    parquet.write_table(pyarrow.table({"tokens": [1]}), path)
  with pytest.raises(InputError, match="shard-00000.* delete it"):
    store.is_judged(tmp_path)


def test_shards_are_read_in_order(tmp_path):
  for index in (10, 2, 0):
    store.write_shard(tmp_path, index, [make.rollout(f"q{index}")])
  assert [r.question_id for r in store.read(tmp_path)] == ["q0", "q2", "q10"]


def test_an_empty_directory_holds_nothing(tmp_path):
  assert list(store.read(tmp_path)) == []
  assert list(store.read(tmp_path / "absent")) == []


def test_what_a_killed_writer_left_is_ignored(tmp_path, monkeypatch):
  store.write_shard(tmp_path, 0, ROLLOUTS)

  def killed(*arguments):
    raise KeyboardInterrupt

  for name in ("fsync", "replace", "rename"):
    with monkeypatch.context() as patch:
      patch.setattr(os, name, killed)
      try:
        store.write_shard(tmp_path, 1, ROLLOUTS[:1])
      except KeyboardInterrupt:
        assert not store.shard_path(tmp_path, 1).exists()
  (tmp_path / ".shard-00002.parquet.123").write_bytes(b"PAR1 half of it")
  assert plain(store.read(tmp_path))[:3] == plain(ROLLOUTS)


def test_a_shard_is_replaced_whole(tmp_path):
  store.write_shard(tmp_path, 0, ROLLOUTS)
  store.write_shard(tmp_path, 0, ROLLOUTS[:1])
  assert plain(store.read(tmp_path)) == plain(ROLLOUTS[:1])
  assert [path.name for path in tmp_path.iterdir()] == ["shard-00000.parquet"]
