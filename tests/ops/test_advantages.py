import jax.numpy as jnp
import numpy as np
import pytest
from oracles import policy_gradient as oracle

from qsharp_jax.ops import advantages


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_leave_one_out_matches_the_oracle(staged):
  rewards = normal(6, 4)
  mask = np.random.default_rng(1).random((6, 4)) < 0.6
  mask[0], mask[1] = True, [True, False, False, False]
  values = staged(advantages.leave_one_out)(rewards, mask)
  expected = [
    oracle.leave_one_out(r, m)
    for r, m in zip(rewards.tolist(), mask.tolist(), strict=True)
  ]
  np.testing.assert_allclose(values, expected, atol=1e-6)


def test_leave_one_out_by_hand():
  values = advantages.leave_one_out(
    jnp.array([[1.0, 0.0, 0.0], [1.0, jnp.nan, 0.0], [1.0, 1.0, 1.0]]),
    jnp.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool),
  )
  by_hand = [[1, -0.5, -0.5], [1, 0, -1], [0, 0, 0]]
  np.testing.assert_allclose(values, by_hand, atol=1e-6)


def test_leave_one_out_is_the_batch_baseline_rescaled():
  rewards, mask = normal(1, 5), np.ones((1, 5), bool)
  np.testing.assert_allclose(
    advantages.leave_one_out(rewards, mask) * (5 - 1) / 5,
    advantages.batch_baseline(rewards, mask),
    atol=1e-6,
  )


@pytest.mark.parametrize("is_scaled", [True, False])
def test_group_relative_matches_the_oracle(is_scaled, staged):
  rewards = normal(6, 4)
  mask = np.random.default_rng(1).random((6, 4)) < 0.6
  mask[0], mask[1] = True, [True, False, False, False]
  relative = lambda r, m: advantages.group_relative(r, m, is_scaled=is_scaled)
  values = staged(relative)(np.where(mask, rewards, np.nan), mask)
  expected = [
    oracle.group_relative(r, m, is_scaled)
    for r, m in zip(rewards.tolist(), mask.tolist(), strict=True)
  ]
  np.testing.assert_allclose(values, expected, atol=1e-5)


def test_group_relative_by_hand():
  values = advantages.group_relative(
    jnp.array([[0.0, 2.0, 4.0], [-2.5, 0.37, -2.5], [1.0, 7.0, jnp.nan]]),
    jnp.array([[1, 1, 1], [1, 1, 1], [1, 1, 0]], bool),
  )
  third, half = 3**-0.5, 0.5**0.5
  by_hand = [[-1, 0, 1], [-third, 2 * third, -third], [-half, half, 0]]
  np.testing.assert_allclose(values, by_hand, rtol=1e-5)


def test_group_relative_knows_neither_zero_nor_unit():
  rewards, mask = normal(5, 4), normal(5, 4, seed=1) > -1
  plain = advantages.group_relative(rewards, mask)
  for scale, shift in ((1e-4, 0.0), (300.0, -2.5), (1.0, 40.0)):
    other = advantages.group_relative(rewards * scale + shift, mask)
    np.testing.assert_allclose(other, plain, atol=1e-3)


@pytest.mark.parametrize("reward", [0.0, 1.0, 0.37, -2500.7])
def test_group_relative_of_equal_rewards_is_nothing(reward):
  rewards = jnp.full((2, 7), reward)
  mask = jnp.array([[1] * 7, [0] * 7], bool)
  values = advantages.group_relative(rewards, mask)
  np.testing.assert_array_equal(values, np.zeros((2, 7)))


def test_group_relative_unscaled_is_leave_one_out_rescaled():
  rewards, mask = normal(3, 5), np.ones((3, 5), bool)
  np.testing.assert_allclose(
    advantages.group_relative(rewards, mask, is_scaled=False) * 5 / 4,
    advantages.leave_one_out(rewards, mask),
    atol=1e-6,
  )


def test_batch_baseline_ignores_what_is_masked(staged):
  rewards = np.array([1.0, np.nan, 0.0, 2.0], np.float32)
  mask = np.array([True, False, True, True])
  values = staged(advantages.batch_baseline)(rewards, mask)
  np.testing.assert_allclose(values, [0, 0, -1, 1], atol=1e-6)


def test_whitened_advantages(staged):
  found, mask = 3 + 5 * normal(4, 6), normal(4, 6, seed=1) > -0.5
  values = staged(advantages.whiten)(found, mask)
  kept = found[mask]
  np.testing.assert_allclose(
    values[mask], (kept - kept.mean()) / kept.std(), rtol=1e-4, atol=1e-5
  )
  assert not values[~mask].any()


@pytest.mark.parametrize("size", [0.0, 1e-6, 0.37, 2500.7])
def test_equal_advantages_stay_next_to_nothing_when_whitened(size):
  # There is nothing to learn, and nothing but rounding to divide by.
  flat = advantages.whiten(jnp.full(7, size), jnp.ones(7, bool))
  np.testing.assert_allclose(flat, np.zeros(7), atol=2e-3)


def test_whitened_advantages_have_no_unit():
  found, mask = normal(4, 6), normal(4, 6, seed=1) > -0.5
  plain = advantages.whiten(found, mask)
  for scale in (1e-6, 1e3):
    other = advantages.whiten(found * np.float32(scale), mask)
    np.testing.assert_allclose(other, plain, rtol=1e-4)


def packed():
  """Sequences of 3, 1 and 4 tokens in two rows, with tokens between them."""
  spans = [(0, 1, 4), (0, 4, 5), (1, 2, 6)]
  is_last = np.zeros((2, 7), bool)
  for row, _, end in spans:
    is_last[row, end - 1] = True
  return spans, is_last


@pytest.mark.parametrize(("discount", "decay"), [(1.0, 0.95), (0.9, 0.5)])
def test_gae_of_packed_sequences_matches_each_alone(staged, discount, decay):
  rewards, values = normal(2, 7), normal(2, 7, seed=1)
  spans, is_last = packed()
  found = staged(lambda *x: advantages.gae(*x, discount=discount, decay=decay))(
    rewards, values, is_last
  )
  for row, start, end in spans:
    own = rewards[row, start:end], values[row, start:end]
    expected = oracle.gae(*(x.tolist() for x in own), discount, decay)
    np.testing.assert_allclose(found[row, start:end], expected, atol=1e-5)


def test_gae_with_decay_1_is_return_minus_value():
  rewards, values = normal(1, 5), normal(1, 5, seed=1)
  is_last = np.arange(5)[None] == 4
  found = advantages.gae(rewards, values, is_last, decay=1.0)
  returns = np.cumsum(rewards[:, ::-1], axis=1)[:, ::-1]
  np.testing.assert_allclose(found, returns - values, atol=1e-5)


def test_gae_by_hand():
  found = advantages.gae(
    jnp.array([[0.0, 1.0]]),
    jnp.array([[0.5, 0.25]]),
    jnp.array([[False, True]]),
    decay=0.5,
  )
  # The last error is 0.75, the first -0.25 + 0.5 * 0.75.
  np.testing.assert_allclose(found, [[0.125, 0.75]], rtol=1e-6)


def test_penalised_rewards_sum_to_the_regularised_objective(staged):
  rewards = np.array([0.0, 0.0, 1.0], np.float32)
  log_probs, ref = -np.abs(normal(3)), -np.abs(normal(3, seed=1))
  found = staged(lambda *x: advantages.penalised(*x, eta=0.1))(
    rewards, log_probs, ref
  )
  expected = 1.0 - 0.1 * (log_probs.sum() - ref.sum())
  np.testing.assert_allclose(found.sum(), expected, rtol=1e-5)


def test_rto_by_hand(staged):
  found = staged(lambda *x: advantages.rto(*x, dpo_eta=0.5, weight=2.0))(
    np.float32([0.0, 1.0]), np.float32([-1.0, -3.0]), np.float32([-2.0, -1.0])
  )
  np.testing.assert_allclose(found, [0.5, -1.0 + 2.0], rtol=1e-6)


def test_rto_of_the_reference_itself_is_the_sequence_reward():
  rewards, ref = normal(4), normal(4, seed=1)
  np.testing.assert_array_equal(advantages.rto(rewards, ref, ref), rewards)


@pytest.mark.parametrize("eta", [0.1, 1.0])
def test_soft_value_matches_the_oracle(staged, eta):
  rewards = np.random.default_rng(0).random((5, 4)).astype(np.float32)
  mask = np.random.default_rng(1).random((5, 4)) < 0.7
  mask[:, 0] = True
  rewards[~mask] = np.nan
  values = staged(lambda *x: advantages.soft_value(*x, eta=eta))(rewards, mask)
  for value, own, kept in zip(values, rewards, mask, strict=True):
    expected = oracle.soft_value(own[kept].tolist(), eta)
    np.testing.assert_allclose(value, expected, atol=1e-5)


def test_soft_value_goes_from_the_mean_to_the_best():
  rewards, mask = jnp.array([1.0, 0.0, 0.0, 0.0]), jnp.ones(4, bool)
  value = lambda eta: advantages.soft_value(rewards, mask, eta=eta)
  np.testing.assert_allclose(value(1e3), 0.25, atol=1e-3)
  np.testing.assert_allclose(value(1e-3), 1.0, atol=2e-3)
