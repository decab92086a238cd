"""What a model says of all packed rows, a batch at a time."""

from collections.abc import Callable

import jax
import numpy as np

from qsharp_jax import data
from qsharp_jax.core import progress
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.sharding import processes
from qsharp_jax.training import objectives


def completed(rows: data.Packed, num_rows: int) -> data.Packed:
  """The same rows with padding behind them, `num_rows` in all."""
  _, length, *width = *rows.tokens.shape, *rows.labels.shape[2:]
  missing = data.packing.padding(
    num_rows - len(rows.tokens), length, tuple(width)
  )
  return data.Packed(
    *(np.concatenate(both) for both in zip(rows, missing, strict=True))
  )


def over_rows(
  forward: Callable[[objectives.Batch], PyTree],
  rows: data.Packed,
  *,
  batch_size: int,
  layout: layout_lib.Layout,
  name: str = "reading",
) -> PyTree:
  """Results of a compiled function on all rows, a batch at a time.

  Args:
    forward: batch of `batch_size` rows -> arrays [batch_size, …].
    rows: any packed rows. Fields [R, T].
    batch_size: rows at a time; padding completes the last batch.
    layout: places batches.
    name: of what is going on, shown where it takes long.

  Returns:
    What `forward` returns, as numpy arrays. Shapes [R, …].
  """
  num_rows = len(rows.tokens)
  parts = []
  starts = range(0, num_rows, batch_size)
  for start in progress.bar(
    starts, name, total=len(starts), unit="batch", is_short=True
  ):
    part = data.Packed(*(field[start : start + batch_size] for field in rows))
    batch = completed(part, batch_size)._asdict()
    del batch["sequence_ids"]  # the host's
    parts.append(processes.fetch(forward(layout.place(batch))))
  return jax.tree.map(lambda *x: np.concatenate(x)[:num_rows], *parts)
