"""Rollouts on disk: Parquet shards that any tool reads, written atomically."""

import dataclasses
import io
import pathlib
from collections.abc import Iterator, Sequence

import numpy as np

from qsharp_jax.core import files
from qsharp_jax.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Rollout:
  """One scored sample."""

  question_id: str
  sample: int
  seed: int
  eta: float | None  # of the policy that sampled it; None: the reference
  prompt: Sequence[int]  # token ids
  tokens: Sequence[int]  # completion, the end token included
  first_label: int  # from this completion token on, `label` is a target
  ended: bool
  text: str
  extracted: str | None
  correct: bool
  label: float  # reward-to-go, in reward units
  error: str | None  # what went wrong in the reward, if anything
  kl: float  # nats, summed over the response, before top-p
  kl_filtered: float  # nats, after top-p
  forwards: int  # passes of any model over one row, see `generate.Completion`
  seconds: float  # its share of the wall-clock time of sampling its batch


def shard_path(directory: str | pathlib.Path, index: int) -> pathlib.Path:
  """Path of one shard."""
  return pathlib.Path(directory) / f"shard-{index:05d}.parquet"


def write_shard(
  directory: str | pathlib.Path, index: int, rollouts: Sequence[Rollout]
) -> None:
  """Writes one shard; it appears whole or not at all."""
  import pyarrow
  from pyarrow import parquet

  rows = [dataclasses.asdict(rollout) for rollout in rollouts]
  table = pyarrow.Table.from_pylist(rows, _schema())
  content = io.BytesIO()
  parquet.write_table(table, content, write_page_checksum=True)
  files.replace(shard_path(directory, index), content.getvalue())


def read(directory: str | pathlib.Path) -> Iterator[Rollout]:
  """All rollouts of a directory, shard by shard, in order.

  Raises:
    InputError: a shard that is not a Parquet file of rollouts.
  """
  import pyarrow
  from pyarrow import parquet

  for path in sorted(pathlib.Path(directory).glob("shard-*.parquet")):
    try:
      # Cast, not read with a schema: that fills a missing column with nulls.
      table = parquet.read_table(path, page_checksum_verification=True)
      rows = table.cast(_schema()).to_pylist()
    except (OSError, ValueError, pyarrow.ArrowException) as error:
      reason = " ".join(str(error).split())
      raise InputError(
        f"{path} is no readable shard of rollouts ({reason}); delete it and "
        "run the same command again"
      ) from error
    for row in rows:
      yield Rollout(**row)


def _schema():
  """Column types of a shard."""
  import pyarrow as pa

  ids = pa.list_(pa.int32())
  types = {
    "question_id": pa.string(),
    "sample": pa.int32(),
    "seed": pa.uint32(),
    "eta": pa.float64(),
    "prompt": ids,
    "tokens": ids,
    "first_label": pa.int32(),
    "ended": pa.bool_(),
    "text": pa.string(),
    "extracted": pa.string(),
    "correct": pa.bool_(),
    "label": pa.float64(),
    "error": pa.string(),
    "kl": pa.float64(),
    "kl_filtered": pa.float64(),
    "forwards": pa.int64(),
    "seconds": pa.float64(),
  }
  return pa.schema(list(types.items()))


def mixed_questions(rollouts: Sequence[Rollout]) -> set[str]:
  """Ids of the questions whose samples did not all get the same label."""
  seen: dict[str, set[float]] = {}
  for rollout in rollouts:
    seen.setdefault(rollout.question_id, set()).add(np.float32(rollout.label))
  return {question for question, labels in seen.items() if len(labels) > 1}
