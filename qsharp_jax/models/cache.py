"""Key-value cache as a plain struct: an argument and a result, never state."""

import jax
import jax.numpy as jnp
from flax import struct

from qsharp_jax.core.arrays import Array
from qsharp_jax.models import config as config_lib


@struct.dataclass
class KVCache:
  """Keys and values of a right-aligned batch: one write index for all rows.

  Layers are separate leaves, because slices of one stacked buffer inside a
  while loop are copied on every step.
  """

  keys: tuple[Array, ...]  # per layer [B, G, S, H], already rotated
  values: tuple[Array, ...]  # per layer [B, G, S, H]
  positions: Array  # [B, S] int32, -1 = empty slot or padding
  index: Array  # [] int32, the next free slot


def empty(
  config: config_lib.DecoderConfig, batch_size: int, num_slots: int
) -> KVCache:
  """A cache of `num_slots` empty slots for each of `batch_size` rows."""
  shape = (batch_size, config.num_kv_heads, num_slots, config.head_width)
  zeros = lambda: tuple(
    jnp.zeros(shape, config.dtype) for _ in range(config.num_layers)
  )
  return KVCache(
    keys=zeros(),
    values=zeros(),
    positions=jnp.full((batch_size, num_slots), -1, jnp.int32),
    index=jnp.zeros((), jnp.int32),
  )


def extend(cache: KVCache, num_slots: int) -> KVCache:
  """Adds `num_slots` empty slots at the end: room for the completion."""
  grow = lambda x: jnp.pad(x, ((0, 0), (0, 0), (0, num_slots), (0, 0)))
  return cache.replace(
    keys=jax.tree.map(grow, cache.keys),
    values=jax.tree.map(grow, cache.values),
    positions=jnp.pad(
      cache.positions, ((0, 0), (0, num_slots)), constant_values=-1
    ),
  )


def repeat(cache: KVCache, num_samples: int) -> KVCache:
  """Copies every row `num_samples` times, so samples share one prefill."""
  rows = lambda x: jnp.repeat(x, num_samples, axis=0)
  return cache.replace(
    keys=jax.tree.map(rows, cache.keys),
    values=jax.tree.map(rows, cache.values),
    positions=rows(cache.positions),
  )


def claim(cache: KVCache, positions: Array) -> KVCache:
  """Marks the next slots as holding tokens at `positions` [B, T]."""
  start = (0, cache.index)
  return cache.replace(
    positions=jax.lax.dynamic_update_slice(cache.positions, positions, start)
  )


def write(slots: Array, new: Array, index: Array) -> Array:
  """Writes `new` [B, G, T, H] into `slots` [B, G, S, H] from slot `index`."""
  return jax.lax.dynamic_update_slice(
    slots, new.astype(slots.dtype), (0, 0, index, 0)
  )
