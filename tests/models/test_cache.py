"""The ring of keys and values: growing, repeating, taking rows over."""

import chex
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import decoders

from qsharp_jax.models import cache as cache_lib

CONFIG = decoders.SMALLEST


def ring(rows, slots, index, newest=9):
  """A full ring; each slot holds its position, also in its keys."""
  ages = (index - 1 - np.arange(slots)) % slots
  positions = np.tile(newest - ages, (rows, 1)).astype(np.int32)
  positions += np.arange(rows, dtype=np.int32)[:, None]
  empty = cache_lib.empty(CONFIG, rows, slots)
  told = jnp.asarray(positions, CONFIG.dtype)[:, None, :, None]
  fill = lambda x: jnp.broadcast_to(told, x.shape)
  return empty.replace(
    keys=tuple(map(fill, empty.keys)),
    values=tuple(map(fill, empty.values)),
    positions=jnp.asarray(positions),
    index=jnp.int32(index),
  )


def check_told(cache):
  """What a slot holds is what its position says, where it is not empty."""
  used = np.asarray(cache.positions) >= 0
  for table in (*cache.keys, *cache.values):
    found = np.asarray(table)[:, 0, :, 0]
    np.testing.assert_array_equal(
      found[used], np.asarray(cache.positions)[used]
    )


def test_an_empty_cache_holds_no_position():
  cache = cache_lib.empty(CONFIG, 3, 5)
  assert (np.asarray(cache.positions) == -1).all() and cache.index == 0
  assert len(cache.keys) == len(cache.values) == CONFIG.num_layers
  heads = CONFIG.num_kv_heads * CONFIG.kv_copies
  for table in (*cache.keys, *cache.values):
    chex.assert_shape(table, (3, heads, 5, CONFIG.head_width))
    chex.assert_type(table, CONFIG.dtype)


@pytest.mark.parametrize("index", [0, 2, 4])
@pytest.mark.parametrize("num_slots", [5, 8])
def test_a_grown_ring_tells_the_same_from_the_oldest_on(index, num_slots):
  old = ring(2, 5, index)
  new = cache_lib.grow(old, num_slots)
  check_told(new)
  assert new.positions[0, :5].tolist() == [5, 6, 7, 8, 9]
  assert new.positions[0, 5:].tolist() == [-1] * (num_slots - 5)
  assert new.index == 5 % num_slots


def test_repeated_rows_lie_side_by_side():
  cache = cache_lib.repeat(ring(2, 4, 1), 3)
  check_told(cache)
  assert cache.positions[:, 0].tolist() == [9] * 3 + [10] * 3


@pytest.mark.parametrize("index", [0, 3])
@pytest.mark.parametrize("new_index", [0, 1])
def test_newcomers_end_where_the_ring_goes_on(index, new_index):
  old, new = ring(3, 6, index), ring(2, 4, new_index, newest=20)
  found = cache_lib.insert(old, new, jnp.array([2, 7]))
  check_told(found)
  chex.assert_trees_all_equal(found.index, old.index)
  chex.assert_trees_all_equal(found.positions[:2], old.positions[:2])
  newest_first = np.roll(np.asarray(found.positions[2]), -index)[::-1]
  assert newest_first.tolist() == [20, 19, 18, 17, -1, -1]


def test_written_tokens_take_the_next_slots_of_every_row():
  cache = cache_lib.empty(CONFIG, 2, 4).replace(index=jnp.int32(1))
  positions = jnp.array([[3, 4], [5, 6]], jnp.int32)
  assert cache_lib.claim(cache, positions).positions.tolist() == [
    [-1, 3, 4, -1],
    [-1, 5, 6, -1],
  ]
  new = jnp.ones((2, cache.keys[0].shape[1], 2, CONFIG.head_width))
  found = cache_lib.write(cache.keys[0], new, cache.index)
  assert found[1, 0, :, 0].tolist() == [0, 1, 1, 0]


def test_each_sees_caches_and_nothing_inside_them():
  trees = {"a": ring(1, 2, 0), "b": (ring(1, 2, 1),)}
  found = cache_lib.each(lambda cache: cache.index, trees)
  assert (int(found["a"]), int(found["b"][0])) == (0, 1)
