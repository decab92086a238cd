"""The loop: where rows end, what they write, when all of it stops."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import players

from qsharp_jax.generate import batching, decode, policy

ROWS, MOST = 8, 10
# Half of all tokens end a row: rows end at different steps, all before MOST.
EVEN = tuple(range(0, players.VOCAB, 2))
ENDING = dataclasses.replace(players.policy(None), eos_ids=EVEN)
ENDLESS = dataclasses.replace(players.policy(None), eos_ids=())


def start(reader):
  tokens, positions = batching.right_align(
    players.prompts([5, 1, 8, 3] * 2), bucket=8
  )
  return decode.prefill(
    reader,
    players.params(None),
    tokens,
    positions,
    num_samples=1,
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


def run(reader, limits=MOST):
  end = decode.decode(
    reader, players.params(None), start(reader), controls(limits)
  )
  return jax.device_get(end)


@pytest.fixture(scope="module")
def endless():
  return run(ENDLESS)


def test_without_end_tokens_rows_are_full(endless):
  assert endless.step == MOST and not endless.ended.any()
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
  assert got.step == lengths.max() < MOST
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
  before = jax.device_get(start(ENDLESS))
  got = run(ENDLESS, 0)
  before = before.replace(finished=np.ones(ROWS, bool))
  jax.tree.map(np.testing.assert_array_equal, got, before)


def test_an_end_token_at_the_limit_counts_as_an_end(endless):
  ends = np.isin(endless.tokens, EVEN)
  lengths = ends.argmax(1) + 1
  got = run(ENDING, lengths)  # every row reaches its limit with its end token
  assert got.ended.all()
  got = run(ENDING, lengths - 1)
  assert not got.ended.any()


def test_more_candidates_than_tokens_are_all_tokens():
  greedy = dataclasses.replace(players.policy("v"), num_candidates=10**6)
  tokens, positions = batching.right_align([[1, 2]], bucket=2)
  prefill = lambda params: decode.prefill(
    greedy, params, tokens, positions, num_samples=8, num_new_tokens=2
  )
  params = players.params("v")
  state = jax.eval_shape(prefill, params)
  end = jax.eval_shape(
    lambda *arguments: decode.decode(greedy, *arguments),
    params,
    state,
    controls(),
  )
  assert end.tokens.shape == (8, 2)
