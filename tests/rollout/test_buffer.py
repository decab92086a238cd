"""The rows of all rounds: what is kept, and what is drawn."""

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax.rollout import buffer as buffer_lib

R, T = 16, 5


def rows_of(number):
  """A batch of its own, its rows all different."""
  tokens = 100 * number + jnp.arange(R * T, dtype=jnp.int32).reshape(R, T)
  steps = jnp.broadcast_to(jnp.arange(T, dtype=jnp.int32), (R, T))
  return {
    "tokens": tokens,
    "positions": steps,
    "segments": jnp.ones((R, T), jnp.int32),
    "mask": steps > 1,
    "labels": jnp.full((R, T), float(number)),
  }


def test_the_buffer_holds_the_newest_batches():
  buffer = buffer_lib.empty(2, R, T)
  for number in (1, 2, 3):
    rows = rows_of(number)
    buffer = buffer_lib.append(buffer, rows)
  assert buffer.num_appended == 3
  assert buffer.rows["labels"][:, 0, 0].tolist() == [3, 2]
  taken = buffer_lib.take(buffer, jnp.array([0, 16, 31, 32]))
  assert taken["labels"][:, 0].tolist() == [3, 2, 2, 0]
  assert taken["positions"][3].tolist() == [-1] * T
  np.testing.assert_array_equal(taken["tokens"][0], rows["tokens"][0])
  np.testing.assert_array_equal(taken["tokens"][2], rows_of(2)["tokens"][15])


def test_only_what_was_appended_is_drawn():
  buffer = buffer_lib.append(buffer_lib.empty(4, R, T), rows_of(1))
  drawn = buffer_lib.draw(buffer, jax.random.key(0), 200)
  assert (drawn["positions"] >= 0).any(axis=1).all()
  held = {tuple(row) for row in np.asarray(buffer.rows["tokens"][0]).tolist()}
  assert {tuple(row) for row in np.asarray(drawn["tokens"]).tolist()} == held
