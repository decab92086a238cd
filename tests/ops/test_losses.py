import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import differences
from oracles import losses as oracle

from qsharp_jax.ops import distributions, losses


def normal(*shape, seed=0):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def test_bernoulli_matches_the_oracle(staged):
  logits, targets = 3 * normal(4, 6), np.linspace(0, 1, 24).reshape(4, 6)
  values = staged(losses.bernoulli)(logits, targets)
  expected = np.vectorize(oracle.bernoulli)(logits, targets)
  np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_bernoulli_by_hand():
  values = losses.bernoulli(jnp.zeros(3), jnp.array([0.0, 0.5, 1.0]))
  np.testing.assert_allclose(values, np.log([2, 2, 2]), rtol=1e-6)


def test_bernoulli_far_from_zero():
  logits = jnp.array([20.0, -20.0, 1e4, -1e4])
  values = jax.jit(losses.bernoulli)(logits, jnp.array([1.0, 0.0, 0.0, 1.0]))
  small = np.log1p(np.exp(-20))
  np.testing.assert_allclose(values, [small, small, 1e4, 1e4], rtol=1e-5)


def test_gradient_of_bernoulli():
  slopes = jax.jit(jax.grad(lambda x, y: losses.bernoulli(x, y).sum()))(
    jnp.array([0.0, 2.0, -200.0]), jnp.array([0.0, 0.3, 1.0])
  )
  sigmoid_2 = 1 / (1 + np.exp(-2))
  np.testing.assert_allclose(slopes, [0.5, sigmoid_2 - 0.3, -1], rtol=1e-5)


def test_categorical_matches_the_oracle(staged):
  logits = normal(3, 4, 5)
  targets = np.array(
    distributions.two_hot(normal(3, 4, seed=1), jnp.linspace(-1, 1, 5))
  )
  values = staged(losses.categorical)(logits, targets)
  for index in np.ndindex(3, 4):
    expected = oracle.categorical(logits[index], targets[index])
    np.testing.assert_allclose(values[index], expected, rtol=1e-5)


def test_categorical_on_two_atoms_is_bernoulli():
  logits, targets = 2 * normal(7), np.linspace(0, 1, 7).astype(np.float32)
  atoms = distributions.support(0.0, 1.0, 2)
  two_logits = np.stack([np.zeros(7, np.float32), logits], axis=-1)
  np.testing.assert_allclose(
    losses.categorical(two_logits, distributions.two_hot(targets, atoms)),
    losses.bernoulli(jnp.array(logits), targets),
    rtol=1e-5,
  )


def test_gradient_of_categorical():
  logits, targets = normal(5), np.array([0, 0.25, 0.75, 0, 0])
  slope = jax.jit(jax.grad(losses.categorical))(
    jnp.array(logits), jnp.array(targets)
  )
  expected = differences.gradient(
    lambda x: oracle.categorical(x, targets), logits
  )
  np.testing.assert_allclose(slope, expected, atol=1e-5)


def test_squared_error_by_hand(staged):
  values = staged(losses.squared_error)(
    jnp.array([0.5, 1.0]), jnp.array([0.0, 1.0])
  )
  np.testing.assert_array_equal(values, [0.25, 0.0])


def test_next_token_is_categorical_at_one_hot(staged):
  logits, tokens = normal(2, 3, 7), np.array([[0, 6, 3], [1, 1, 5]])
  values = staged(losses.next_token)(logits, tokens)
  one_hot = np.eye(7)[tokens]
  for index in np.ndindex(2, 3):
    expected = oracle.categorical(logits[index], one_hot[index])
    np.testing.assert_allclose(values[index], expected, rtol=1e-5)


def test_next_token_of_half_precision_logits_is_float32():
  logits = jnp.full((1, 4096), 8, jnp.bfloat16)
  value = losses.next_token(logits, jnp.array([17]))
  np.testing.assert_allclose(value, np.log(4096), rtol=1e-6)


def test_gradient_of_next_token():
  logits, token = normal(6), jnp.array(2)
  slope = jax.jit(jax.grad(losses.next_token))(jnp.array(logits), token)
  expected = np.array(oracle.softmax(logits)) - np.eye(6)[2]
  np.testing.assert_allclose(slope, expected, atol=1e-6)


def test_sequence_weights_match_the_oracle(staged):
  rng = np.random.default_rng(5)
  mask = rng.random((6, 12)) < 0.6
  segments = np.sort(rng.integers(0, 13, (6, 12)))
  weights = staged(losses.sequence_weights)(mask, segments)
  expected = oracle.sequence_weights(mask, segments)
  np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_sequence_weights_by_hand():
  segments = jnp.array([[1, 1, 1, 2, 2, 0], [1, 2, 3, 4, 5, 6]])
  mask = jnp.array([[0, 1, 1, 1, 0, 1], [1, 1, 1, 1, 1, 0]])
  weights = jax.jit(losses.sequence_weights)(mask, segments)
  by_hand = [[0, 0.5, 0.5, 1, 0, 0], [1, 1, 1, 1, 1, 0]]
  np.testing.assert_array_equal(weights, by_hand)


def test_packed_sequences_weigh_as_much_as_unpacked_ones():
  values = jnp.array([1.0, 2.0, 3.0, 10.0])
  packed = losses.sequence_weights(jnp.ones((1, 4)), jnp.array([[1, 1, 1, 2]]))
  total, count = losses.weighted_sum(values[None], packed)
  assert (total / count, count) == ((2.0 + 10.0) / 2, 2.0)


def test_weighted_sums_add_up_over_parts():
  values, weights = normal(8), np.abs(normal(8, seed=1))
  whole = jax.jit(losses.weighted_sum)(values, weights)
  parts = [
    losses.weighted_sum(values[s], weights[s])
    for s in (slice(0, 3), slice(3, 8))
  ]
  np.testing.assert_allclose(whole, np.sum(parts, axis=0), rtol=1e-5)
  np.testing.assert_allclose(
    whole[0] / whole[1], np.average(values, weights=weights), rtol=1e-4
  )


def test_weighted_sum_reads_nothing_of_weight_zero():
  values, weights = jnp.array([jnp.nan, 2.0]), jnp.array([0.0, 3.0])
  value, slope = jax.value_and_grad(
    lambda v: losses.weighted_sum(v, weights)[0]
  )(values)
  assert value == 6.0
  np.testing.assert_array_equal(slope, [0.0, 3.0])


def test_shapes_must_agree():
  with pytest.raises(AssertionError):
    losses.bernoulli(jnp.zeros((3, 1)), jnp.zeros(3))
  with pytest.raises(AssertionError):
    losses.next_token(jnp.zeros((3, 5)), jnp.zeros((3, 1), int))
