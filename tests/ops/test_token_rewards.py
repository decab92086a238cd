"""Rewards of token ids by hand, and beside the graders of texts."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from qsharp_jax.ops import token_rewards

TOKENS = np.array([[5, 6, 1, 0], [5, 6, 7, 1], [6, 5, 1, 0]], np.int32)
LENGTHS = np.array([3, 4, 2], np.int32)


def test_written_tokens_by_hand():
  found = token_rewards.is_written(jnp.array(TOKENS), jnp.array(LENGTHS))
  assert found.tolist() == [
    [True, True, True, False],
    [True, True, True, True],
    [True, True, False, False],
  ]


def test_a_reward_at_the_end_by_hand(staged):
  paid = staged(token_rewards.at_end)(TOKENS, LENGTHS, np.float32([2, -3, 0.5]))
  assert paid.tolist() == [[0, 0, 2, 0], [0, 0, 0, -3], [0, 0.5, 0, 0]]


def test_pay_of_tokens_by_hand(staged):
  table = np.arange(24, dtype=np.float32).reshape(3, 8)
  paid = staged(token_rewards.by_token)(TOKENS, LENGTHS, table)
  assert paid.tolist() == [[5, 6, 1, 0], [13, 14, 15, 9], [22, 21, 0, 0]]


def test_to_go_by_hand(staged):
  rewards = np.float32([[1, 0, 2, 0], [0, 0, 0, 0.5]])
  found = staged(token_rewards.to_go)(rewards)
  assert found.tolist() == [[3, 2, 2, 0], [0.5] * 4]


def test_listed_completions_by_hand(staged):
  answers = token_rewards.Listed(
    np.array([[[5, 6, -1], [6, 5, -1]]] * 3, np.int32),
    np.array([[1.0, 0.25]] * 3, np.float32),
  )
  pay = staged(functools.partial(token_rewards.listed, silent=(1,)))
  paid = pay(TOKENS, LENGTHS, answers)
  assert paid.tolist() == [[0, 0, 1, 0], [0] * 4, [0, 0.25, 0, 0]]
  # Without silent tokens the end token belongs to the completion.
  pay = staged(token_rewards.listed)
  paid = pay(TOKENS, LENGTHS, answers)
  assert paid.tolist() == [[0] * 4, [0] * 4, [0, 0.25, 0, 0]]


@pytest.mark.parametrize("length", [0, 1, 2, 5])
def test_listed_agrees_with_comparing_lists(staged, length):
  rng = np.random.default_rng(length)
  tokens = rng.integers(0, 3, (64, 5)).astype(np.int32)
  lengths = rng.integers(length, 6, 64).astype(np.int32)
  table = rng.integers(1, 3, (64, 1, 3)).astype(np.int32)
  table[:, 0, length:] = -1
  answers = token_rewards.Listed(table, np.ones((64, 1), np.float32))
  pay = staged(functools.partial(token_rewards.listed, silent=(0,)))
  paid = pay(tokens, lengths, answers).sum(axis=1)
  expected = [
    float(n > 0 and [t for t in row[:n] if t] == [t for t in gold if t > 0])
    for row, n, gold in zip(
      tokens.tolist(), lengths, table[:, 0].tolist(), strict=True
    )
  ]
  assert paid.tolist() == expected
  assert length > 2 or 0 < sum(expected) < 64
