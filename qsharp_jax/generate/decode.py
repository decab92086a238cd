"""The one decode loop of the project."""

import functools

import chex
import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.generate import turn as turn_lib


@functools.partial(jax.jit, static_argnames="policy", donate_argnames="state")
def decode(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  num_finished: Array,
) -> state_lib.DecodeState:
  """Samples until so many rows have finished, or one needs a larger cache."""
  chex.assert_rank(num_finished, 0)
  chex.assert_type(num_finished, int)
  return jax.lax.while_loop(
    functools.partial(_is_going, num_finished),
    functools.partial(turn_lib.step, policy, params),
    state,
  )


@functools.partial(jax.jit, static_argnames="policy", donate_argnames="state")
def decode_some(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  num_finished: Array,
  num_turns: Array,
) -> state_lib.DecodeState:
  """As `decode`, but so many turns at most."""
  chex.assert_rank([num_finished, num_turns], 0)
  chex.assert_type([num_finished, num_turns], int)

  def is_going(carry: tuple[Array, state_lib.DecodeState]) -> Array:
    turn, state = carry
    return (turn < num_turns) & _is_going(num_finished, state)

  def go(
    carry: tuple[Array, state_lib.DecodeState],
  ) -> tuple[Array, state_lib.DecodeState]:
    turn, state = carry
    return turn + 1, turn_lib.step(policy, params, state)

  return jax.lax.while_loop(is_going, go, (jnp.int32(0), state))[1]


def _is_going(num_finished: Array, state: state_lib.DecodeState) -> Array:
  num_slots = state.caches["reference"].positions.shape[1]
  has_room = state.finished | (state.position + state.holes < num_slots)
  return has_room.all() & (state.finished.sum() < num_finished)


def advance(
  policy: policy_lib.Policy,
  params: PyTree,
  state: state_lib.DecodeState,
  num_turns: int,
) -> state_lib.DecodeState:
  """So many turns as a scan, which may stand inside any other program.

  Rows that finish earlier do nothing in the turns that are left. Caches must
  have room for all turns.
  """

  def one(
    state: state_lib.DecodeState, _: None
  ) -> tuple[state_lib.DecodeState, None]:
    return turn_lib.step(policy, params, state), None

  return jax.lax.scan(one, state, length=num_turns)[0]
