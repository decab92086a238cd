"""What the functions that fill rows promise of their arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import players

from qsharp_jax.generate import requests as requests_lib
from qsharp_jax.generate import state as state_lib

ROWS, MOST = 4, 6


def start(changed=lambda x: x, **sampling):
  """Two prompts, each sampled twice, read by the guided players."""
  wanted = players.requests((5, 3))
  tokens, positions = requests_lib.right_align(
    [r.prompt for r in wanted], bucket=8
  )
  controls = requests_lib.make_controls(wanted, 2, 0, players.SAMPLING).replace(
    **{k: jnp.asarray(v) for k, v in sampling.items()}
  )
  return state_lib.prefill(
    players.policy("q"),
    players.params("q"),
    changed(tokens),
    positions,
    controls,
    num_slots=16,
    num_new_tokens=MOST,
  )


@pytest.mark.parametrize(
  "changed",
  [lambda x: x.astype(np.float32), lambda x: x[0], lambda x: x[:, :-1]],
  ids=["type", "rank", "shape"],
)
def test_prompts_are_rows_of_tokens_with_their_positions(changed):
  with pytest.raises(AssertionError, match="Chex"):
    start(changed=changed)


@pytest.mark.parametrize("rows", [np.zeros(4), np.zeros((4, 1), np.int32)])
def test_rows_are_given_away_by_their_indices(rows):
  state = jax.eval_shape(start)
  with pytest.raises(AssertionError, match="Chex"):
    jax.eval_shape(state_lib.admit, state, state, rows)
