"""The loop: where rows end, what they write, when all of it stops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import players

from qsharp_jax.generate import decode, policy, reading
from qsharp_jax.generate import state as state_lib

ROWS, MOST = 8, 10
# Half of all tokens end a row: rows end at different steps, all before MOST.
EVEN = tuple(range(0, players.VOCAB, 2))
ENDING = dataclasses.replace(players.policy(None), eos_ids=EVEN)
ENDLESS = dataclasses.replace(players.policy(None), eos_ids=())


def start(reader, limits=MOST, num_slots=7 + MOST):
  tokens, positions = reading.right_align(
    players.prompts([5, 1, 8, 3] * 2), bucket=8
  )
  return state_lib.prefill(
    reader,
    players.params(None),
    tokens,
    positions,
    controls(limits),
    num_slots=num_slots,
    num_new_tokens=MOST,
  )


def controls(limits=MOST):
  full = lambda value, dtype: jnp.full(ROWS, value, dtype)
  return policy.Controls(
    seeds=jnp.arange(ROWS, dtype=jnp.uint32),
    eta=full(jnp.inf, jnp.float32),
    guided_steps=full(0, jnp.int32),
    max_new_tokens=jnp.broadcast_to(jnp.array(limits, jnp.int32), ROWS),
    temperature=full(1, jnp.float32),
    top_p=full(1, jnp.float32),
  )


def advance(reader, state, num_finished=ROWS):
  params = players.params(None)
  return decode.decode(reader, params, state, np.int32(num_finished))


def run(reader, limits=MOST):
  return jax.device_get(advance(reader, start(reader, limits)))


def num_steps(state):
  """Steps taken since the prompts, of 7 slots, were read."""
  return (state.caches["reference"].index - 7) % (7 + MOST)


@pytest.fixture(scope="module")
def endless():
  return run(ENDLESS)


def test_without_end_tokens_rows_are_full(endless):
  assert num_steps(endless) == MOST and not endless.ended.any()
  np.testing.assert_array_equal(endless.lengths, MOST)
  assert (endless.log_probs < 0).all()
  assert endless.newest.tolist() == endless.tokens[:, -1].tolist()


def test_rows_end_at_any_of_the_end_tokens(endless):
  got = run(ENDING)
  ends = np.isin(endless.tokens, EVEN)
  assert ends.any(1).all()  # or this test says too little
  lengths = ends.argmax(1) + 1
  assert len(set(lengths.tolist())) > 2
  np.testing.assert_array_equal(got.lengths, lengths)
  np.testing.assert_array_equal(got.ended, True)
  # The loop stopped with the last row, and nothing follows an end token.
  assert num_steps(got) == lengths.max() < MOST
  for name in ("tokens", "log_probs", "ref_log_probs", "kl", "kl_filtered"):
    table, whole = getattr(got, name), getattr(endless, name)
    for row, row_whole, length in zip(table, whole, lengths, strict=True):
      np.testing.assert_array_equal(row[:length], row_whole[:length])
      np.testing.assert_array_equal(row[length:], 0)
  assert len(set(got.tokens[np.arange(ROWS), lengths - 1].tolist())) > 1


def test_limits_differ_from_row_to_row(endless):
  limits = np.array([1, 10, 0, 4, 2, 7, 3, 5])
  got = run(ENDLESS, limits)
  np.testing.assert_array_equal(got.lengths, limits)
  assert not got.ended.any()
  written = np.arange(MOST) < limits[:, None]
  np.testing.assert_array_equal(
    got.tokens, np.where(written, endless.tokens, 0)
  )


def test_nothing_happens_when_every_row_is_finished():
  before = jax.device_get(start(ENDLESS, 0))
  assert before.finished.all()
  jax.tree.map(np.testing.assert_array_equal, run(ENDLESS, 0), before)


def test_stops_as_soon_as_enough_rows_have_finished(endless):
  limits = np.array([1, 10, 9, 4, 2, 7, 3, 5])
  state = start(ENDLESS, limits)
  for num_finished, steps in ((1, 1), (3, 3), (5, 5), (8, 10)):
    state = advance(ENDLESS, state, num_finished)
    assert num_steps(state) == steps
    assert state.finished.sum() == num_finished
  np.testing.assert_array_equal(state.tokens[1], endless.tokens[1])


def test_stops_for_want_of_room_and_goes_on_in_a_larger_cache(endless):
  state = advance(ENDLESS, start(ENDLESS, num_slots=7 + 3))
  # The prompt of 8 tokens has taken 7 slots, the last one left to the loop.
  assert state.lengths.tolist() == [3] * ROWS
  state = advance(ENDLESS, state_lib.grow(state, 7 + 5))
  assert state.lengths.tolist() == [5] * ROWS
  state = jax.device_get(advance(ENDLESS, state_lib.grow(state, 7 + MOST)))
  np.testing.assert_array_equal(state.tokens, endless.tokens)
  np.testing.assert_allclose(state.log_probs, endless.log_probs, atol=1e-5)


def test_a_newcomer_writes_what_it_writes_alone(endless):
  # Rows 2 and 5 begin again as rows 0 and 1 did. Their last tokens come after
  # the ring has wrapped, and what the row held before must not be seen.
  limits = np.array([10, 10, 4, 10, 10, 4, 10, 10])
  state = advance(ENDLESS, start(ENDLESS, limits), 2)
  kept = jax.device_get(state)
  newcomers = start(ENDLESS, num_slots=7)
  rows = np.array([2, 5, *[ROWS] * (ROWS - 2)], np.int32)
  state = advance(ENDLESS, state_lib.admit(state, newcomers, rows))
  got = jax.device_get(state)
  for row, first in ((2, 0), (5, 1)):
    np.testing.assert_array_equal(got.tokens[row], endless.tokens[first])
    np.testing.assert_allclose(
      got.log_probs[row], endless.log_probs[first], atol=1e-5
    )
    assert got.lengths[row] == MOST
    np.testing.assert_array_equal(kept.tokens[row, :4], endless.tokens[row, :4])
  others = [0, 1, 3, 4, 6, 7]
  np.testing.assert_array_equal(got.tokens[others], endless.tokens[others])


def test_an_end_token_at_the_limit_counts_as_an_end(endless):
  ends = np.isin(endless.tokens, EVEN)
  lengths = ends.argmax(1) + 1
  got = run(ENDING, lengths)  # every row reaches its limit with its end token
  assert got.ended.all()
  got = run(ENDING, lengths - 1)
  assert not got.ended.any()


def test_more_candidates_than_tokens_are_all_tokens():
  greedy = dataclasses.replace(players.policy("v"), num_candidates=10**6)
  tokens, positions = reading.right_align([[1, 2]], bucket=2)
  prefill = lambda params: state_lib.prefill(
    greedy,
    params,
    tokens,
    positions,
    controls(),
    num_slots=3,
    num_new_tokens=2,
  )
  params = players.params("v")
  state = jax.eval_shape(prefill, params)
  end = jax.eval_shape(
    lambda params, state: decode.decode(greedy, params, state, ROWS),
    params,
    state,
  )
  assert end.tokens.shape == (8, 2)
