"""One turn writes a token of every open row, and nothing of the others."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
from oracles import players

from qsharp_jax.generate import requests as requests_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.generate import turn as turn_lib

ROWS, MOST = 4, 6


def test_a_turn_writes_one_token_of_each_open_row():
  wanted = players.requests((5, 3))
  tokens, positions = requests_lib.right_align(
    [r.prompt for r in wanted], bucket=8
  )
  controls = requests_lib.make_controls(wanted, 2, 0, players.SAMPLING)
  before = state_lib.prefill(
    players.policy("q"),
    players.params("q"),
    tokens,
    positions,
    controls.replace(max_new_tokens=jnp.array([1, 3, 0, 6], jnp.int32)),
    num_slots=16,
    num_new_tokens=MOST,
  )
  assert before.finished.tolist() == [False, False, True, False]
  turn = jax.jit(turn_lib.step, static_argnums=0)
  after = turn(players.policy("q"), players.params("q"), before)
  assert after.lengths.tolist() == [1, 1, 0, 1]
  assert (after.position - before.position).tolist() == [1, 1, 0, 1]
  assert after.turns.tolist() == [1, 1, 0, 1]
  assert after.holes.tolist() == [0, 0, 0, 0]
  # A row that was full is finished, though no end token was drawn.
  assert after.finished[0] and after.finished[2]
  np.testing.assert_array_equal(after.newest[2], before.newest[2])
  np.testing.assert_array_equal(after.tokens[2], np.zeros(MOST))
  np.testing.assert_array_equal(after.tokens[:, 1:], 0)
  chex.assert_trees_all_equal(after.controls, before.controls)
