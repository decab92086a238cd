"""What the loop's functions promise of their arguments, and what compiles."""

import chex
import jax
import numpy as np
import pytest
from oracles import players

from qsharp_jax.generate import decode
from qsharp_jax.generate import state as state_lib

ROWS = 4


def test_one_program_serves_all_that_may_differ_from_row_to_row():
  loop = jax.jit(
    chex.assert_max_traces(decode.decode.__wrapped__, n=1),
    static_argnames="policy",
  )
  settings = [
    {},
    {"eta": np.array([0.1, np.inf, 2.0, 0.5], np.float32)},
    {"temperature": np.array([0.0, 1.0, 2.0, 0.5], np.float32)},
    {"top_p": np.array([0.1, 1.0, 0.5, 0.9], np.float32)},
    {"max_new_tokens": np.array([1, 2, 3, 6], np.int32)},
    {"guided_steps": np.array([0, 1, 9, 3], np.int32)},
    {"seeds": np.arange(4, dtype=np.uint32)},
  ]
  run = lambda state, rows: loop(
    players.policy("q"), players.params("q"), state, np.int32(rows)
  )
  for sampling in settings:
    state = players.started(**sampling)
    assert np.asarray(run(state, ROWS).finished).all()
    assert np.asarray(run(state, 1).finished).sum() >= 1
  # The count is one of traces: other shapes are another program.
  with pytest.raises(AssertionError, match="traced"):
    run(state_lib.grow(state, 32), ROWS)


@pytest.mark.parametrize("number", [np.float32(2), np.zeros(2, np.int32)])
def test_the_number_of_rows_to_wait_for_is_one_integer(number):
  state = jax.eval_shape(players.started)
  with pytest.raises(AssertionError, match="Chex"):
    jax.eval_shape(
      lambda state: decode.decode(
        players.policy("q"), players.params("q"), state, number
      ),
      state,
    )
