"""One turn writes a token of every open row, and nothing of the others."""

import chex
import jax
import numpy as np
from oracles import players

from qsharp_jax.generate import turn as turn_lib


def test_a_turn_writes_one_token_of_each_open_row():
  limits = np.array([1, 3, 0, 6], np.int32)
  before = players.started(max_new_tokens=limits)
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
  np.testing.assert_array_equal(after.tokens[2], np.zeros(6))
  np.testing.assert_array_equal(after.tokens[:, 1:], 0)
  chex.assert_trees_all_equal(after.controls, before.controls)
