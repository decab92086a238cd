"""Rollouts on disk: Parquet shards that any tool reads, written atomically."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from absl import logging

from qsharp_jax import rewards
from qsharp_jax.core import places
from qsharp_jax.core.errors import InputError
from qsharp_jax.rollout import shard_files
from qsharp_jax.rollout.columns import Rollout, Rollouts
from qsharp_jax.sharding import processes

_SHARD_SIZE = b"problems_per_shard"
_GRADED_BY = b"graded_by"


def shard_path(directory: str | os.PathLike, index: int) -> places.Path:
  """Path of one shard."""
  return places.path(directory) / f"shard-{index:05d}.parquet"


def shard_size(directory: str | os.PathLike, *, default: int) -> int:
  """Problems of a shard of this store, as its first shard says."""
  from pyarrow import parquet

  for path in _paths(directory)[:1]:
    with shard_files.readable(path) as file:
      metadata = parquet.read_schema(file).metadata or {}
      return int(metadata.get(_SHARD_SIZE, default))
  return default


def write_shard(
  directory: str | os.PathLike,
  index: int,
  rollouts: Rollouts | Iterable[Rollout],
  *,
  num_problems: int | None = None,
  graded_by: str = "",
) -> None:
  """Writes one shard; it appears whole or not at all.

  Args:
    directory: of the store.
    index: of the shard.
    rollouts: its content.
    num_problems: of every shard but the last, for a run that completes the
      store with another batch size.
    graded_by: the reward, see `regrade`.
  """
  if not isinstance(rollouts, Rollouts):
    rollouts = Rollouts.of(rollouts)
  notes = {_GRADED_BY: graded_by}
  if num_problems is not None:
    notes[_SHARD_SIZE] = str(num_problems)
  shard_files.write(shard_path(directory, index), rollouts, notes)


def read(
  directory: str | os.PathLike,
  *,
  shards: Iterable[int] | None = None,
  with_text: bool = True,
) -> Rollouts:
  """The rollouts of a directory, shard by shard, in order.

  Args:
    directory: holds the shards; one that is absent holds no rollouts.
    shards: indices of the shards to read; None for all that are there.
    with_text: False leaves the texts and questions out, as training does: each
      is "".

  Raises:
    InputError: a shard that is not a Parquet file of rollouts.
  """
  import pyarrow

  paths = _paths(directory)
  if shards is not None:
    paths = [shard_path(directory, index) for index in shards]
  found = Rollouts.concatenate(
    [shard_files.read(path, with_text) for path in paths]
  )
  # Arrow keeps what it freed for its next table; there is none.
  pyarrow.default_memory_pool().release_unused()
  return found


def with_values(
  directory: str | os.PathLike, judge: Callable[[Rollouts], np.ndarray]
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
  from pyarrow import parquet

  paths = _paths(directory)
  parts = [shard_files.read(path, with_text=False) for path in paths]
  found = Rollouts.concatenate(parts)
  found = dataclasses.replace(found, value=np.asarray(judge(found), np.float64))
  ends = np.cumsum([len(part) for part in parts])[:-1]
  for path, values in zip(paths, np.split(found.value, ends), strict=True):
    if processes.is_main():
      judged = dataclasses.replace(shard_files.read(path, True), value=values)
      with shard_files.readable(path) as file:
        notes = parquet.read_schema(file).metadata or {}
      shard_files.write(path, judged, notes)
  return found


def regrade(
  directory: str | os.PathLike,
  grade: Callable[[Rollouts], Sequence[rewards.Grade]],
  by: str,
  *,
  only: str | None = None,
  is_forced: bool = False,
) -> int:
  """Grades stored texts again where another reward has graded them.

  All processes call it together; the main one grades, and replaces each shard
  whole. Other processes may read the shards after the next barrier.

  Args:
    directory: holds the shards.
    grade: rollouts to their grades.
    by: name of the reward and whatever else decides its grades.
    only: the other reward; None for any.
    is_forced: grades all again, even what this reward has graded.

  Returns:
    How many shards were graded again, 0 in processes other than the main one.
  """
  from pyarrow import parquet

  if not processes.is_main():
    return 0
  num_shards = 0
  for path in _paths(directory):
    with shard_files.readable(path) as file:
      notes = parquet.read_schema(file).metadata or {}
    before = notes.get(_GRADED_BY, b"").decode()
    if not is_forced and (before == by or only not in (None, before)):
      continue
    found = shard_files.read(path, with_text=True)
    grades = grade(found)
    graded = dataclasses.replace(
      found,
      extracted=np.array([g.extracted for g in grades], object),
      correct=np.array([g.correct for g in grades], np.float64),
      label=np.array([g.reward for g in grades], np.float64),
      error=np.array([g.error for g in grades], object),
    )
    shard_files.write(path, graded, {**notes, _GRADED_BY: by})
    num_shards += 1
  return num_shards


def is_judged(directory: str | os.PathLike) -> bool:
  """Whether every rollout of a directory has its value; reads that alone.

  Raises:
    InputError: a shard that is not a Parquet file of rollouts.
  """
  import pyarrow
  from pyarrow import parquet

  schema = pyarrow.schema([shard_files.arrow_schema().field("value")])
  for path in _paths(directory):
    with shard_files.readable(path) as file:
      # Cast, so that a shard without the column is refused.
      values = parquet.read_table(file, columns=["value"]).cast(schema)
    if values["value"].null_count:
      return False
  return True


def set_damaged_aside(directory: str | os.PathLike) -> int:
  """Renames shards that cannot be read, so that they are sampled again.

  For a store that is not complete: a machine that stopped while it wrote may
  leave anything. The main process looks; the others wait in the next
  `processes.agree`.

  Args:
    directory: of the store.

  Returns:
    How many there were, 0 in processes other than the main one.
  """
  num_damaged = 0
  for path in _paths(directory) if processes.is_main() else ():
    try:
      shard_files.read(path, with_text=True)
    except InputError:
      kept = path.with_name(f"{path.name}.damaged")
      logging.warning(
        "%s is damaged: its questions are sampled again, and it is kept as %s",
        path,
        kept.name,
      )
      path.replace(kept)
      num_damaged += 1
  return num_damaged


def _paths(directory: str | os.PathLike) -> list[places.Path]:
  return sorted(places.path(directory).glob("shard-*.parquet"))
