"""Key-value cache as a plain struct: an argument and a result, never state."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import struct

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.models import config as config_lib


@struct.dataclass
class KVCache:
  """Keys and values of a batch in a ring of S slots, one index for all rows.

  All rows write into the same slot, and the ring forgets what was written S
  tokens ago: S slots serve any number of tokens, as long as no sequence is
  longer than S. What a slot holds is told by its position, not by its place.

  Layers are separate leaves, because slices of one stacked buffer inside a
  while loop are copied on every step.
  """

  # G counts the copies, too, where heads are kept more than once.
  keys: tuple[Array, ...]  # per layer [B, G, S, H], already rotated
  values: tuple[Array, ...]  # per layer [B, G, S, H]
  positions: Array  # [B, S] int32, -1 = empty slot or padding
  index: Array  # [] int32, the next slot, in 0..S-1


def empty(
  config: config_lib.DecoderConfig, batch_size: int, num_slots: int
) -> KVCache:
  """A cache of `num_slots` empty slots for each of `batch_size` rows."""
  num_heads = config.num_kv_heads * config.kv_copies
  shape = (batch_size, num_heads, num_slots, config.head_width)

  def zeros():
    return tuple(
      jnp.zeros(shape, config.dtype) for _ in range(config.num_layers)
    )

  return KVCache(
    keys=zeros(),
    values=zeros(),
    positions=jnp.full((batch_size, num_slots), -1, jnp.int32),
    index=jnp.zeros((), jnp.int32),
  )


def each(function: Callable[..., KVCache], *trees: PyTree) -> PyTree:
  """Applies a function of caches to every cache of a tree."""

  def is_cache(x):
    return isinstance(x, KVCache)

  return jax.tree.map(function, *trees, is_leaf=is_cache)


def unroll(slots: Array, index: Array, *, num_slots: int, fill: int) -> Array:
  """Slots [B, S] or [B, G, S, H], the oldest first, in a ring of `num_slots`.

  The new slots, filled with `fill`, follow the newest: the next index is S.
  """
  axis = min(2, slots.ndim - 1)
  slots = jnp.roll(slots, -index, axis)
  pad = [(0, 0)] * slots.ndim
  pad[axis] = (0, num_slots - slots.shape[axis])
  return jnp.pad(slots, pad, constant_values=fill)


def grow(cache: KVCache, num_slots: int) -> KVCache:
  """The same slots, the oldest first, in a ring of no fewer slots."""

  def wider(x, fill):
    return unroll(x, cache.index, num_slots=num_slots, fill=fill)

  return _wider(cache, num_slots, wider)


def gather(slots: Array, order: Array, *, num_slots: int, fill: int) -> Array:
  """Slots [B, S] or [B, G, S, H] in the order [B, S], then as `unroll`."""

  def take(slots, order):
    return jnp.take(slots, order, axis=min(1, slots.ndim - 1))

  return unroll(
    jax.vmap(take)(slots, order),
    jnp.zeros((), jnp.int32),
    num_slots=num_slots,
    fill=fill,
  )


def pack(
  cache: KVCache, num_slots: int, *, gather: Callable[..., Array] = gather
) -> KVCache:
  """The same tokens in a ring of no fewer slots, empty slots the oldest.

  `gather` does it for one array after the other.
  """
  order = jnp.argsort(cache.positions, axis=1)

  def wider(x, fill):
    return gather(x, order, num_slots=num_slots, fill=fill)

  return _wider(cache, num_slots, wider)


def _wider(
  cache: KVCache, num_slots: int, wider: Callable[[Array, int], Array]
) -> KVCache:
  return KVCache(
    keys=tuple(wider(x, 0) for x in cache.keys),
    values=tuple(wider(x, 0) for x in cache.values),
    positions=wider(cache.positions, -1),
    index=jnp.full_like(cache.index, cache.positions.shape[1] % num_slots),
  )


def map_rows(cache: KVCache, function: Callable[[Array], Array]) -> KVCache:
  """Applies a function of arrays [B, ...] that copies or reorders rows."""
  return cache.replace(
    keys=jax.tree.map(function, cache.keys),
    values=jax.tree.map(function, cache.values),
    positions=function(cache.positions),
  )


def repeat(cache: KVCache, num_samples: int) -> KVCache:
  """Copies every row `num_samples` times, so samples share one prefill."""
  return map_rows(cache, lambda x: jnp.repeat(x, num_samples, axis=0))


def insert(cache: KVCache, newcomers: KVCache, rows: Array) -> KVCache:
  """Puts other sequences into some rows, as if just written.

  Args:
    cache: a ring of S slots for B rows.
    newcomers: R rows in a ring of at most S slots.
    rows: where they go; a row that is not in 0..B-1 goes nowhere. Shape [R].

  Returns:
    The cache, its index as before: the newest slot of a newcomer lies just
    before it.
  """
  num_slots, num_new = cache.positions.shape[1], newcomers.positions.shape[1]

  def put(old: Array, new: Array, fill: int) -> Array:
    new = unroll(new, newcomers.index, num_slots=num_slots, fill=fill)
    new = jnp.roll(new, cache.index - num_new, min(2, new.ndim - 1))
    return old.at[rows].set(new, mode="drop")

  def layers(old, new):
    return tuple(put(a, b, 0) for a, b in zip(old, new, strict=True))

  return cache.replace(
    keys=layers(cache.keys, newcomers.keys),
    values=layers(cache.values, newcomers.values),
    positions=put(cache.positions, newcomers.positions, -1),
  )


def claim(cache: KVCache, positions: Array) -> KVCache:
  """Marks the next slots as holding tokens at `positions` [B, T]."""
  start = (0, cache.index)
  return cache.replace(
    positions=jax.lax.dynamic_update_slice(cache.positions, positions, start)
  )


def write(slots: Array, new: Array, index: Array) -> Array:
  """Writes `new` [B, G, T, H] into `slots` [B, G, S, H] from slot `index`.

  A block must not cross the end of the ring: one token never does, nor does a
  prompt in an empty one.
  """
  return jax.lax.dynamic_update_slice(
    slots, new.astype(slots.dtype), (0, 0, index, 0)
  )
