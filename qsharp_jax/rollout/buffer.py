"""Rows of all rounds, aggregated on the devices.

Pure functions, made for being called inside a program. Rows stay on the devices
that sampled them; only drawing mixes them.

Source: arXiv 2502.20548, Algorithm 1: the data that rounds aggregate.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import struct

from qsharp_jax.core.arrays import Array


@struct.dataclass
class Buffer:
  """Rows of C batches of R rollouts each; the oldest batch goes first.

  Batches lie along an axis of their own, so that appending one moves nothing
  between devices.
  """

  rows: dict[str, Array]  # fields of `trajectories.batch`, each [C, R, T]
  num_appended: Array  # [] int32, batches in all


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def empty(num_batches: int, num_rows: int, length: int) -> Buffer:
  """Room for so many batches of R rows of T tokens.

  Compiled, so that it lies as the programs return it: a buffer that lay
  otherwise would have the first call of each compiled for itself.
  """
  table = lambda fill, dtype: _sharded(
    jnp.full((num_batches, num_rows, length), fill, dtype)
  )
  return Buffer(
    rows={
      "tokens": table(0, jnp.int32),
      "positions": table(-1, jnp.int32),
      "segments": table(0, jnp.int32),
      "mask": table(False, jnp.bool_),
      "labels": table(0, jnp.float32),
    },
    num_appended=jnp.zeros((), jnp.int32),
  )


def append(buffer: Buffer, rows: Mapping[str, Array]) -> Buffer:
  """The buffer with one batch more, in the place of the oldest if it is full.

  Args:
    buffer: of C batches.
    rows: fields [R, T].
  """
  place = buffer.num_appended % len(buffer.rows["tokens"])
  put = lambda table, new: _sharded(
    jax.lax.dynamic_update_index_in_dim(table, new, place, axis=0)
  )
  return Buffer(
    {name: put(table, rows[name]) for name, table in buffer.rows.items()},
    buffer.num_appended + 1,
  )


def take(buffer: Buffer, indices: Array) -> dict[str, Array]:
  """The rows [b] of a buffer, counted from the first of its oldest place.

  Rows beyond the end come back as padding.
  """
  num_rows = buffer.rows["tokens"].shape[1]
  fills = {"positions": -1}
  return {
    name: nn.with_logical_constraint(
      table.at[indices // num_rows, indices % num_rows].get(
        mode="fill", fill_value=fills.get(name, 0)
      ),
      ("batch", None),
    )
    for name, table in buffer.rows.items()
  }


def draw(buffer: Buffer, key: Array, batch_size: int) -> dict[str, Array]:
  """Random rows of all that was appended, with repeats. Fields [b, T]."""
  num_batches, num_rows = buffer.rows["tokens"].shape[:2]
  num_held = jnp.minimum(buffer.num_appended, num_batches) * num_rows
  return take(buffer, jax.random.randint(key, (batch_size,), 0, num_held))


def _sharded(table: Array) -> Array:
  """Batches [C, R, T], their rows shared by the devices."""
  return nn.with_logical_constraint(table, (None, "batch", None))
