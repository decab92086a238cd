"""What the functions that fill rows promise of their arguments."""

import jax
import numpy as np
import pytest
from oracles import players

from qsharp_jax.generate import state as state_lib


@pytest.mark.parametrize(
  "changed",
  [lambda x: x.astype(np.float32), lambda x: x[0], lambda x: x[:, :-1]],
  ids=["type", "rank", "shape"],
)
def test_prompts_are_rows_of_tokens_with_their_positions(changed):
  with pytest.raises(AssertionError, match="Chex"):
    players.started(changed=changed)


@pytest.mark.parametrize("rows", [np.zeros(4), np.zeros((4, 1), np.int32)])
def test_rows_are_given_away_by_their_indices(rows):
  state = jax.eval_shape(players.started)
  with pytest.raises(AssertionError, match="Chex"):
    jax.eval_shape(state_lib.admit, state, state, rows)
