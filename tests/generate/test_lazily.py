"""A lazy turn: open rows get more candidates, or wait."""

import dataclasses

import jax
import numpy as np
import pytest
from oracles import players

from qsharp_jax.generate import lazily
from qsharp_jax.generate import turn as turn_lib

FULL = dataclasses.replace(players.policy("v"), top_p_of="reference")
LAZY = dataclasses.replace(FULL, num_scored=1)


def take_turn(policy):
  # A new function each time: what a turn may leave is traced.
  turn = jax.jit(lambda params, state: turn_lib.step(policy, params, state))
  fill = lambda value: np.full(4, value, np.float32)
  state = players.started(
    how=policy, eta=fill(0.05), top_p=fill(1), temperature=fill(6),
    seeds=np.arange(20, 24, dtype=np.uint32),
  )  # fmt: skip
  return turn(players.params("v"), state)


@pytest.mark.parametrize(
  ("one_may_wait_of", "num_waiting"), [(1, 2), (2, 2), (3, 0), (5, 0)]
)
def test_a_row_waits_or_has_the_token_of_scoring_all(
  one_may_wait_of, num_waiting, monkeypatch
):
  # One candidate each leaves two rows of four open.
  monkeypatch.setattr(lazily, "_ONE_MAY_WAIT_OF", one_may_wait_of)
  full, lazy = take_turn(FULL), take_turn(LAZY)
  is_written = np.asarray(lazy.lengths == 1)
  assert 4 - is_written.sum() == num_waiting
  np.testing.assert_array_equal(lazy.holes, 1 - lazy.lengths)
  np.testing.assert_array_equal(
    lazy.tokens[is_written], full.tokens[is_written]
  )
  np.testing.assert_array_equal(lazy.race.num_scored, ~is_written)
  # Rows that were settled at once are not counted with the others' candidates.
  assert (lazy.scored == 1).sum() == (4 if num_waiting else 2)
  assert (lazy.scored <= full.scored).all()
