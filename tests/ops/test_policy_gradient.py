import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import differences
from oracles import policy_gradient as oracle

from qsharp_jax.ops import policy_gradient, preferences


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_leave_one_out_matches_the_oracle(staged):
  rewards = normal(6, 4)
  mask = np.random.default_rng(1).random((6, 4)) < 0.6
  mask[0], mask[1] = True, [True, False, False, False]
  values = staged(policy_gradient.leave_one_out)(rewards, mask)
  expected = [
    oracle.leave_one_out(r, m)
    for r, m in zip(rewards.tolist(), mask.tolist(), strict=True)
  ]
  np.testing.assert_allclose(values, expected, atol=1e-6)


def test_leave_one_out_by_hand():
  values = policy_gradient.leave_one_out(
    jnp.array([[1.0, 0.0, 0.0], [1.0, jnp.nan, 0.0], [1.0, 1.0, 1.0]]),
    jnp.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool),
  )
  by_hand = [[1, -0.5, -0.5], [1, 0, -1], [0, 0, 0]]
  np.testing.assert_allclose(values, by_hand, atol=1e-6)


def test_leave_one_out_is_the_batch_baseline_rescaled():
  rewards, mask = normal(1, 5), np.ones((1, 5), bool)
  np.testing.assert_allclose(
    policy_gradient.leave_one_out(rewards, mask) * (5 - 1) / 5,
    policy_gradient.batch_baseline(rewards, mask),
    atol=1e-6,
  )


@pytest.mark.parametrize("is_scaled", [True, False])
def test_group_relative_matches_the_oracle(is_scaled, staged):
  rewards = normal(6, 4)
  mask = np.random.default_rng(1).random((6, 4)) < 0.6
  mask[0], mask[1] = True, [True, False, False, False]
  relative = lambda r, m: policy_gradient.group_relative(
    r, m, is_scaled=is_scaled
  )
  values = staged(relative)(np.where(mask, rewards, np.nan), mask)
  expected = [
    oracle.group_relative(r, m, is_scaled)
    for r, m in zip(rewards.tolist(), mask.tolist(), strict=True)
  ]
  np.testing.assert_allclose(values, expected, atol=1e-5)


def test_group_relative_by_hand():
  values = policy_gradient.group_relative(
    jnp.array([[0.0, 2.0, 4.0], [-2.5, 0.37, -2.5], [1.0, 7.0, jnp.nan]]),
    jnp.array([[1, 1, 1], [1, 1, 1], [1, 1, 0]], bool),
  )
  third, half = 3**-0.5, 0.5**0.5
  by_hand = [[-1, 0, 1], [-third, 2 * third, -third], [-half, half, 0]]
  np.testing.assert_allclose(values, by_hand, rtol=1e-5)


def test_group_relative_knows_neither_zero_nor_unit():
  rewards, mask = normal(5, 4), normal(5, 4, seed=1) > -1
  plain = policy_gradient.group_relative(rewards, mask)
  for scale, shift in ((1e-4, 0.0), (300.0, -2.5), (1.0, 40.0)):
    other = policy_gradient.group_relative(rewards * scale + shift, mask)
    np.testing.assert_allclose(other, plain, atol=1e-3)


@pytest.mark.parametrize("reward", [0.0, 1.0, 0.37, -2500.7])
def test_group_relative_of_equal_rewards_is_nothing(reward):
  rewards = jnp.full((2, 7), reward)
  mask = jnp.array([[1] * 7, [0] * 7], bool)
  values = policy_gradient.group_relative(rewards, mask)
  np.testing.assert_array_equal(values, np.zeros((2, 7)))


def test_group_relative_unscaled_is_leave_one_out_rescaled():
  rewards, mask = normal(3, 5), np.ones((3, 5), bool)
  np.testing.assert_allclose(
    policy_gradient.group_relative(rewards, mask, is_scaled=False) * 5 / 4,
    policy_gradient.leave_one_out(rewards, mask),
    atol=1e-6,
  )


def test_batch_baseline_ignores_what_is_masked(staged):
  rewards = np.array([1.0, np.nan, 0.0, 2.0], np.float32)
  mask = np.array([True, False, True, True])
  values = staged(policy_gradient.batch_baseline)(rewards, mask)
  np.testing.assert_allclose(values, [0, 0, -1, 1], atol=1e-6)


def test_whitened_advantages(staged):
  advantages, mask = 3 + 5 * normal(4, 6), normal(4, 6, seed=1) > -0.5
  values = staged(policy_gradient.whiten)(advantages, mask)
  kept = advantages[mask]
  np.testing.assert_allclose(
    values[mask], (kept - kept.mean()) / kept.std(), rtol=1e-4, atol=1e-5
  )
  assert not values[~mask].any()


@pytest.mark.parametrize("size", [0.0, 1e-6, 0.37, 2500.7])
def test_equal_advantages_stay_next_to_nothing_when_whitened(size):
  # There is nothing to learn, and nothing but rounding to divide by.
  flat = policy_gradient.whiten(jnp.full(7, size), jnp.ones(7, bool))
  np.testing.assert_allclose(flat, np.zeros(7), atol=2e-3)


def test_whitened_advantages_have_no_unit():
  advantages, mask = normal(4, 6), normal(4, 6, seed=1) > -0.5
  plain = policy_gradient.whiten(advantages, mask)
  for scale in (1e-6, 1e3):
    other = policy_gradient.whiten(advantages * np.float32(scale), mask)
    np.testing.assert_allclose(other, plain, rtol=1e-4)


def test_reinforce_has_the_gradient_of_the_expected_reward():
  # Exact sum over all actions of a softmax policy, against differences.
  logits, rewards = normal(4), normal(4, seed=1)

  def expected_reward(x):
    odds = np.exp(x)
    return float(odds @ rewards / odds.sum())

  def loss(x):
    log_probs = jax.nn.log_softmax(x)
    weights = jax.lax.stop_gradient(jnp.exp(log_probs))
    advantages = rewards - jnp.float32(0.7)  # any baseline
    return jnp.sum(weights * policy_gradient.reinforce(log_probs, advantages))

  slope = jax.jit(jax.grad(loss))(jnp.array(logits))
  ascent = differences.gradient(expected_reward, logits)
  np.testing.assert_allclose(slope, -ascent, atol=1e-5)


def test_reinforce_sends_no_gradient_into_advantages():
  slope = jax.grad(lambda a: policy_gradient.reinforce(jnp.ones(3), a).sum())(
    jnp.ones(3)
  )
  np.testing.assert_array_equal(slope, np.zeros(3))


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
  found = staged(
    lambda *x: policy_gradient.gae(*x, discount=discount, decay=decay)
  )(rewards, values, is_last)
  for row, start, end in spans:
    own = rewards[row, start:end], values[row, start:end]
    expected = oracle.gae(*(x.tolist() for x in own), discount, decay)
    np.testing.assert_allclose(found[row, start:end], expected, atol=1e-5)


def test_gae_with_decay_1_is_return_minus_value():
  rewards, values = normal(1, 5), normal(1, 5, seed=1)
  is_last = np.arange(5)[None] == 4
  found = policy_gradient.gae(rewards, values, is_last, decay=1.0)
  returns = np.cumsum(rewards[:, ::-1], axis=1)[:, ::-1]
  np.testing.assert_allclose(found, returns - values, atol=1e-5)


def test_gae_by_hand():
  found = policy_gradient.gae(
    jnp.array([[0.0, 1.0]]),
    jnp.array([[0.5, 0.25]]),
    jnp.array([[False, True]]),
    decay=0.5,
  )
  # The last error is 0.75, the first -0.25 + 0.5 * 0.75.
  np.testing.assert_allclose(found, [[0.125, 0.75]], rtol=1e-6)


def test_ppo_matches_the_oracle(staged):
  log_probs, old, advantages = (normal(40, seed=i) for i in range(3))
  values = staged(lambda *x: policy_gradient.ppo(*x, clip=0.3))(
    0.4 * log_probs, 0.4 * old, advantages
  )
  expected = [
    oracle.ppo(0.4 * float(a), 0.4 * float(b), float(c), 0.3)
    for a, b, c in zip(log_probs, old, advantages, strict=True)
  ]
  np.testing.assert_allclose(values, expected, rtol=1e-4)


def test_ppo_on_policy_has_the_gradient_of_reinforce():
  log_probs, advantages = -np.abs(normal(6)), normal(6, seed=1)
  slope = lambda f: jax.jit(jax.grad(lambda x: f(x).sum()))(
    jnp.array(log_probs)
  )
  np.testing.assert_allclose(
    slope(lambda x: policy_gradient.ppo(x, log_probs, advantages)),
    slope(lambda x: policy_gradient.reinforce(x, advantages)),
    rtol=1e-5,
  )


def test_ppo_gains_nothing_beyond_its_clip():
  old, advantages = jnp.zeros(4), jnp.array([1.0, 1.0, -1.0, -1.0])
  log_probs = jnp.log(jnp.array([1.5, 0.5, 0.5, 1.5]))
  slope = jax.grad(
    lambda x: policy_gradient.ppo(x, old, advantages, clip=0.2).sum()
  )(log_probs)
  # Better than the clip: no gradient. Worse: the way back stays open.
  np.testing.assert_allclose(slope, [0, -0.5, 0, 1.5], atol=1e-6)


def test_clipped_value_matches_the_oracle(staged):
  values, old, returns = (normal(40, seed=i) for i in range(3))
  found = staged(lambda *x: policy_gradient.clipped_value(*x, clip=0.5))(
    values, old, returns
  )
  expected = [
    oracle.clipped_value(*map(float, x), 0.5)
    for x in zip(values, old, returns, strict=True)
  ]
  np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_value_loss_without_a_clip_is_half_the_squared_error():
  values, old, returns = (normal(5, seed=i) for i in range(3))
  np.testing.assert_allclose(
    policy_gradient.clipped_value(values, old, returns, clip=np.inf),
    (values - returns) ** 2 / 2,
    rtol=1e-5,
  )


def test_penalised_rewards_sum_to_the_regularised_objective(staged):
  rewards = np.array([0.0, 0.0, 1.0], np.float32)
  log_probs, ref = -np.abs(normal(3)), -np.abs(normal(3, seed=1))
  found = staged(lambda *x: policy_gradient.penalised(*x, eta=0.1))(
    rewards, log_probs, ref
  )
  expected = 1.0 - 0.1 * (log_probs.sum() - ref.sum())
  np.testing.assert_allclose(found.sum(), expected, rtol=1e-5)


def test_rto_by_hand(staged):
  found = staged(lambda *x: policy_gradient.rto(*x, dpo_eta=0.5, weight=2.0))(
    np.float32([0.0, 1.0]), np.float32([-1.0, -3.0]), np.float32([-2.0, -1.0])
  )
  np.testing.assert_allclose(found, [0.5, -1.0 + 2.0], rtol=1e-6)


def test_rto_of_the_reference_itself_is_the_sequence_reward():
  rewards, ref = normal(4), normal(4, seed=1)
  np.testing.assert_array_equal(policy_gradient.rto(rewards, ref, ref), rewards)


@pytest.mark.parametrize("eta", [0.1, 1.0])
def test_soft_value_matches_the_oracle(staged, eta):
  rewards = np.random.default_rng(0).random((5, 4)).astype(np.float32)
  mask = np.random.default_rng(1).random((5, 4)) < 0.7
  mask[:, 0] = True
  rewards[~mask] = np.nan
  values = staged(lambda *x: policy_gradient.soft_value(*x, eta=eta))(
    rewards, mask
  )
  for value, own, kept in zip(values, rewards, mask, strict=True):
    expected = oracle.soft_value(own[kept].tolist(), eta)
    np.testing.assert_allclose(value, expected, atol=1e-5)


def test_soft_value_goes_from_the_mean_to_the_best():
  rewards, mask = jnp.array([1.0, 0.0, 0.0, 0.0]), jnp.ones(4, bool)
  value = lambda eta: policy_gradient.soft_value(rewards, mask, eta=eta)
  np.testing.assert_allclose(value(1e3), 0.25, atol=1e-3)
  np.testing.assert_allclose(value(1e-3), 1.0, atol=2e-3)


def test_a_star_po_is_zero_at_the_optimum():
  # Two answers, rewards 1 and 0, reference odds 1:3, eta 0.5.
  eta, ref, rewards = 0.5, np.array([0.25, 0.75]), np.array([1.0, 0.0])
  tilted = ref * np.exp(rewards / eta)
  best, value = tilted / tilted.sum(), eta * np.log(tilted.sum())
  losses = policy_gradient.a_star_po(
    np.float32(np.log(best)),
    np.float32(np.log(ref)),
    np.float32(rewards - value),
    eta=eta,
  )
  np.testing.assert_allclose(losses, [0, 0], atol=1e-10)


def test_a_star_po_by_hand(staged):
  value = staged(lambda *x: policy_gradient.a_star_po(*x, eta=0.5))(
    *map(np.float32, ([-1.0], [-3.0], [0.25]))
  )
  np.testing.assert_allclose(value, [0.75**2], rtol=1e-6)


def test_gradient_of_a_star_po():
  point = np.array([-1.0, -2.5])
  ref, advantages = np.array([-2.0, -2.0]), np.array([0.3, -0.6])
  slope = jax.jit(
    jax.grad(
      lambda x: policy_gradient.a_star_po(
        x, jnp.float32(ref), jnp.float32(advantages), eta=0.2
      ).sum()
    )
  )(jnp.float32(point))
  expected = differences.gradient(
    lambda x: float(((0.2 * (x - ref) - advantages) ** 2).sum()), point
  )
  np.testing.assert_allclose(slope, expected, rtol=1e-4)


def test_a_star_po_on_a_pair_has_no_quarrel_with_dpo():
  # At the regression's optimum DPO sees the margin of the two rewards.
  eta, value = 0.3, 0.4
  ref = jnp.array([-2.0, -1.0])
  log_probs = ref + (jnp.array([1.0, 0.0]) - value) / eta
  loss = preferences.dpo(*log_probs, *ref, eta=eta)
  np.testing.assert_allclose(loss, np.log1p(np.exp(-1)), rtol=1e-5)


def test_shapes_must_agree():
  with pytest.raises(AssertionError):
    policy_gradient.ppo(jnp.zeros(3), jnp.zeros(3), jnp.zeros((3, 1)))


def test_k3_matches_the_oracle(staged):
  log_probs, ref = -abs(normal(3, 4)), -abs(normal(3, 4, seed=1))
  values = staged(policy_gradient.k3)(log_probs, ref)
  expected = [
    [oracle.k3(p, r) for p, r in zip(*rows, strict=True)]
    for rows in zip(log_probs.tolist(), ref.tolist(), strict=True)
  ]
  np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-6)


def test_k3_by_hand():
  log_probs, ref = (
    jnp.log(jnp.array([0.5, 0.4])),
    jnp.log(jnp.array([0.5, 0.8])),
  )
  values = policy_gradient.k3(log_probs, ref)
  np.testing.assert_allclose(values, [0, 1 - np.log(2)], atol=1e-6)


def test_k3_is_the_kl_on_average_and_leads_to_the_reference():
  log_probs, ref = jax.nn.log_softmax(normal(2, 6))
  probs = np.exp(log_probs)
  mean = probs @ policy_gradient.k3(log_probs, ref)
  np.testing.assert_allclose(mean, probs @ (log_probs - ref), rtol=1e-4)

  def loss(logits):
    own = jax.nn.log_softmax(logits)
    return jnp.sum(
      jax.lax.stop_gradient(jnp.exp(own)) * policy_gradient.k3(own, ref)
    )

  def kl_of_the_reference(logits):
    own, other = logits - np.log(np.exp(logits).sum()), np.float64(ref)
    return float(np.exp(other) @ (other - own))

  np.testing.assert_allclose(
    jax.jit(jax.grad(loss))(log_probs),
    differences.gradient(kl_of_the_reference, np.float64(log_probs)),
    atol=1e-4,
  )
