import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import differences
from oracles import policy_gradient as oracle

from qsharp_jax.ops import policy_gradient, preferences


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


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
