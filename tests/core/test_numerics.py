import jax
import jax.numpy as jnp
import numpy as np
import pytest

from qsharp_jax.core import numerics


def test_per_row_refuses_to_spread_along_the_last_axis():
  np.testing.assert_array_equal(numerics.per_row(2, (3, 1)), np.full((3, 1), 2))
  with pytest.raises(ValueError):
    numerics.per_row(np.ones(3), (3, 1))


def test_masked_mean_is_the_mean_of_what_is_left(staged):
  rng = np.random.default_rng(0)
  values, mask = rng.normal(size=(4, 5)), rng.random((4, 5)) < 0.5
  mean = staged(numerics.masked_mean)(values, mask)
  np.testing.assert_allclose(mean, values[mask].mean(), rtol=1e-6)


def test_masked_mean_per_axis_with_an_empty_row():
  values = jnp.array([[1.0, 3.0, 100.0], [1.0, 2.0, 3.0]])
  mask = jnp.array([[1, 1, 0], [0, 0, 0]])
  mean = jax.jit(lambda v, m: numerics.masked_mean(v, m, axis=-1))(values, mask)
  np.testing.assert_array_equal(mean, [2.0, 0.0])


def test_masked_mean_broadcasts_its_mask():
  values = np.array([[1.0, 2.0], [3.0, 6.0]])
  assert numerics.masked_mean(values, np.array([0, 1])) == 4.0
  assert numerics.masked_mean(values, np.array([[1], [0]])) == 1.5


def test_masked_mean_reads_nothing_under_the_mask():
  values, mask = jnp.array([2.0, jnp.nan, jnp.inf]), jnp.array([1, 0, 0])
  mean, slope = jax.value_and_grad(numerics.masked_mean)(values, mask)
  assert mean == 2.0
  np.testing.assert_array_equal(slope, [1.0, 0.0, 0.0])


def test_log_mean_exp_is_an_expectation(staged):
  value = staged(numerics.log_mean_exp)(
    jnp.log(jnp.array([2.0, 5.0])), jnp.log(jnp.array([0.75, 0.25]))
  )
  np.testing.assert_allclose(value, np.log(2.75), rtol=1e-6)


def test_log_mean_exp_neither_overflows_nor_leaves_a_rest():
  log_probs = jnp.log(jnp.array([[0.9, 0.1], [0.3, 0.7], [1.0, 0.0]]))
  big = jax.jit(numerics.log_mean_exp)(jnp.array([0.0, 1000.0]), log_probs)
  expected = [1000 + np.log(0.1), 1000 + np.log(0.7), 0.0]
  np.testing.assert_allclose(big, expected, rtol=1e-6)
  none = jax.jit(numerics.log_mean_exp)(jnp.zeros(2), log_probs)
  np.testing.assert_array_equal(none, np.zeros(3))
