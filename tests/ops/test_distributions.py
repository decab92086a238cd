import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import differences
from oracles import distributions as oracle

from qsharp_jax.core.errors import InputError
from qsharp_jax.ops import distributions

SUPPORTS = [(0.0, 1.0, 2), (0.0, 1.0, 11), (-3.0, 0.0, 7), (-1.0, 2.5, 51)]


def random_log_probs(shape, seed=0):
  logits = np.random.default_rng(seed).normal(size=shape)
  log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  return log_probs.astype(np.float32)


@pytest.mark.parametrize("v_min, v_max, num_atoms", SUPPORTS)
def test_support_ends_where_it_should(v_min, v_max, num_atoms):
  atoms = distributions.support(v_min, v_max, num_atoms)
  assert atoms.shape == (num_atoms,)
  assert (atoms[0], atoms[-1]) == (v_min, v_max)
  step = (v_max - v_min) / (num_atoms - 1)
  np.testing.assert_allclose(np.diff(np.array(atoms)), step, rtol=1e-4)


@pytest.mark.parametrize("bad", [(1.0, 1.0, 3), (1.0, 0.0, 3), (0.0, 1.0, 1)])
def test_support_refuses_an_empty_interval(bad):
  with pytest.raises(InputError, match="expected"):
    distributions.support(*bad)


@pytest.mark.parametrize("v_min, v_max, num_atoms", SUPPORTS)
def test_two_hot_matches_the_oracle(v_min, v_max, num_atoms, staged):
  atoms = distributions.support(v_min, v_max, num_atoms)
  values = np.random.default_rng(1).uniform(v_min - 1, v_max + 1, (5, 8))
  projected = staged(distributions.two_hot)(values, atoms)
  exact = np.linspace(v_min, v_max, num_atoms)
  expected = [[oracle.two_hot(v, exact) for v in row] for row in values]
  np.testing.assert_allclose(projected, expected, atol=2e-5)


@pytest.mark.parametrize("v_min, v_max, num_atoms", SUPPORTS)
def test_two_hot_keeps_the_mean(v_min, v_max, num_atoms):
  atoms = distributions.support(v_min, v_max, num_atoms)
  values = np.linspace(v_min, v_max, 37)
  projected = jax.device_get(jax.jit(distributions.two_hot)(values, atoms))
  np.testing.assert_allclose(projected.sum(-1), 1, rtol=1e-6)
  assert (projected > 0).sum(-1).max() <= 2
  np.testing.assert_allclose(projected @ np.array(atoms), values, atol=1e-6)


def test_two_hot_by_hand():
  atoms = jnp.array([-1.0, 0.0, 1.0])
  projected = distributions.two_hot(
    jnp.array([0.25, -0.5, 0.0, 9.0, -1.0]), atoms
  )
  by_hand = [
    [0, 0.75, 0.25],
    [0.5, 0.5, 0],
    [0, 1, 0],  # on an atom: that atom alone
    [0, 0, 1],  # above the support: clipped
    [1, 0, 0],
  ]
  np.testing.assert_array_equal(projected, by_hand)


def test_moments_match_the_oracle(staged):
  log_probs, atoms = (
    random_log_probs((3, 4, 9)),
    distributions.support(-1.0, 2.0, 9),
  )
  means = staged(distributions.mean)(log_probs, atoms)
  variances = staged(distributions.variance)(log_probs, atoms)
  for index in np.ndindex(3, 4):
    probs = np.exp(np.array(log_probs[index], np.float64))
    first, second = oracle.moments(probs, np.linspace(-1, 2, 9))
    np.testing.assert_allclose(means[index], first, atol=1e-5)
    np.testing.assert_allclose(variances[index], second, atol=1e-5)


def test_variance_does_not_cancel():
  atoms = jnp.array([1000.0, 1000.1])
  log_probs = jnp.log(jnp.array([0.5, 0.5]))
  np.testing.assert_allclose(
    distributions.variance(log_probs, atoms), 0.0025, rtol=0.02
  )


@pytest.mark.parametrize("eta", [0.05, 0.1, 1.0, 30.0])
def test_log_mean_exp_matches_the_oracle(eta, staged):
  log_probs, atoms = (
    random_log_probs((2, 3, 6)),
    distributions.support(-1.0, 1.0, 6),
  )
  moments = staged(lambda p, z: distributions.log_mean_exp(p, z, eta=eta))(
    log_probs, atoms
  )
  for index in np.ndindex(2, 3):
    probs = np.exp(np.array(log_probs[index], np.float64))
    expected = oracle.log_mean_exp(probs, np.linspace(-1, 1, 6), eta)
    np.testing.assert_allclose(moments[index], expected, atol=1e-5, rtol=1e-5)


def test_log_mean_exp_at_a_thousandth_and_at_infinity():
  log_probs, atoms = (
    random_log_probs((5, 4)),
    distributions.support(0.0, 1.0, 4),
  )
  eta = jnp.array([1e-3, jnp.inf, 1e-3, jnp.inf, 1e-3])
  moments = jax.jit(lambda p: distributions.log_mean_exp(p, atoms, eta=eta))(
    log_probs
  )
  # Only the last atom counts: its weight is e^333 times the next one's.
  np.testing.assert_allclose(moments[::2], 1000 + log_probs[::2, -1], rtol=1e-6)
  np.testing.assert_array_equal(moments[1::2], [0, 0])


def test_log_mean_exp_per_row_equals_one_eta_at_a_time():
  log_probs, atoms = random_log_probs((3, 2, 4)), np.arange(4.0)
  etas = np.array([0.1, 1.0, 10.0], np.float32)
  log_mean_exp = jax.jit(distributions.log_mean_exp)
  together = log_mean_exp(log_probs, atoms, eta=etas[:, None])
  for row, eta in enumerate(etas):
    alone = log_mean_exp(log_probs[row], atoms, eta=eta)
    np.testing.assert_allclose(together[row], alone, rtol=1e-5)


def test_eta_must_not_spread_along_the_candidates():
  with pytest.raises(ValueError):
    distributions.log_mean_exp(
      jnp.zeros((3, 1, 4)), jnp.arange(4.0), eta=np.ones(3)
    )


def test_log_mean_exp_of_masked_atoms():
  log_probs, atoms = jnp.log(jnp.array([0.0, 0.25, 0.75])), jnp.arange(3.0)
  full = jax.jit(lambda p: distributions.log_mean_exp(p, atoms, eta=0.5))(
    log_probs
  )
  kept = distributions.log_mean_exp(log_probs[1:], atoms[1:], eta=0.5)
  np.testing.assert_allclose(full, kept, rtol=1e-6)


def test_gradient_of_log_mean_exp():
  logits = np.random.default_rng(3).normal(size=5)
  atoms = np.linspace(-1, 1, 5)

  def exact(logits):
    probs = np.exp(logits) / np.exp(logits).sum()
    return oracle.log_mean_exp(probs, atoms, 0.3)

  slope = jax.jit(
    jax.grad(lambda x: distributions.log_mean_exp(x, jnp.array(atoms), eta=0.3))
  )
  np.testing.assert_allclose(
    slope(jnp.asarray(logits)), differences.gradient(exact, logits), atol=1e-5
  )


VALUES = (-9.0, -1.0, -0.4, 0.5, 0.51, 2.0, 3.5)  # off, on, between atoms


@pytest.mark.parametrize("v_min, v_max, num_atoms", SUPPORTS)
def test_crps_matches_the_oracle(v_min, v_max, num_atoms, staged):
  log_probs = random_log_probs((len(VALUES), num_atoms))
  atoms = distributions.support(v_min, v_max, num_atoms)
  scores = staged(distributions.crps)(log_probs, atoms, jnp.array(VALUES))
  exact = np.linspace(v_min, v_max, num_atoms)
  expected = [
    oracle.crps(np.exp(np.float64(row)), exact, value)
    for row, value in zip(log_probs, VALUES, strict=True)
  ]
  np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-5)


def test_crps_by_hand():
  atoms = jnp.array([0.0, 1.0])
  log_probs = jnp.log(jnp.array([[0.75, 0.25]] * 5))
  values = jnp.array([0.0, 1.0, 0.5, -2.0, 3.0])
  scores = distributions.crps(log_probs, atoms, values)
  # Of 0 and 1 it is the Brier score; outside, the way to the support is added.
  by_hand = [0.0625, 0.5625, 0.3125, 2.0625, 2.5625]
  np.testing.assert_allclose(scores, by_hand, rtol=1e-6)


def test_crps_of_a_sure_forecast_is_the_absolute_error():
  atoms = jnp.array([-1.0, 0.5, 2.0])
  sure = jnp.log(jnp.array([[0.0, 1.0, 0.0]] * len(VALUES)))
  scores = distributions.crps(sure, atoms, jnp.array(VALUES))
  np.testing.assert_allclose(scores, abs(np.array(VALUES) - 0.5), rtol=1e-6)


def test_crps_is_least_for_the_true_distribution():
  atoms = jnp.array([0.0, 0.3, 1.0])
  true = np.exp(random_log_probs(3))

  def expected(logits):
    rows = jnp.broadcast_to(jax.nn.log_softmax(logits), (3, 3))
    return jnp.sum(true * distributions.crps(rows, atoms, atoms))

  slope = jax.jit(jax.grad(expected))(jnp.log(true))
  np.testing.assert_allclose(slope, 0, atol=1e-6)
  assert expected(jnp.log(true)) < expected(jnp.array([0.0, 0.1, 0.2]))


def test_pit_matches_the_oracle(staged):
  log_probs = random_log_probs((len(VALUES), 8))
  atoms = distributions.support(-1.0, 2.5, 8)  # steps of a half: no rounding
  bounds = staged(distributions.pit)(log_probs, atoms, jnp.array(VALUES))
  expected = [
    oracle.pit(np.exp(np.float64(row)), np.linspace(-1, 2.5, 8), value)
    for row, value in zip(log_probs, VALUES, strict=True)
  ]
  np.testing.assert_allclose(np.stack(bounds, -1), expected, atol=1e-6)


def test_pit_by_hand():
  log_probs = jnp.log(jnp.array([[0.0, 0.25, 0.75]] * 4))
  lower, upper = distributions.pit(
    log_probs, jnp.array([0.0, 1.0, 2.0]), jnp.array([0.0, 1.0, 2.0, 1.5])
  )
  np.testing.assert_array_equal(lower, [0, 0, 0.25, 0.25])
  np.testing.assert_array_equal(upper, [0, 0.25, 1, 0.25])


def test_pit_takes_rounding_for_the_atom():
  # 2000 / 9, 4000 / 9, ... in single precision, by two ways of rounding.
  atoms = distributions.support(-1000.0, 1000.0, 10)
  values = np.float32(np.arange(10) * np.float32(2000 / 9) - 1000)
  assert (values != np.asarray(atoms)).any()
  log_probs = np.broadcast_to(random_log_probs(10), (10, 10))
  lower, upper = distributions.pit(log_probs, atoms, jnp.array(values))
  np.testing.assert_allclose(upper - lower, np.exp(log_probs[0]), atol=1e-6)


def test_projected_pit_by_hand():
  log_probs = jnp.log(jnp.array([[0.5, 0.25, 0.25]] * 3))
  atoms = jnp.array([0.0, 1.0, 2.0])
  (lower, upper), weights = distributions.projected_pit(
    log_probs, atoms, jnp.array([0.25, 2.0, -5.0])
  )
  np.testing.assert_array_equal(lower, [[0, 0.5], [0.5, 0.75], [0, 0.5]])
  np.testing.assert_array_equal(upper, [[0.5, 0.75], [0.75, 1], [0.5, 0.75]])
  np.testing.assert_array_equal(weights, [[0.75, 0.25], [0, 1], [1, 0]])


def test_projected_pit_of_atoms_is_pit():
  atoms = distributions.support(0.0, 1.0, 6)
  log_probs = random_log_probs((6, 6))
  both, weights = distributions.projected_pit(log_probs, atoms, atoms)
  chosen = np.argmax(weights, axis=-1)[:, None]
  for name, alone in (
    distributions.pit(log_probs, atoms, atoms)._asdict().items()
  ):
    of_both = np.asarray(getattr(both, name))
    found = np.take_along_axis(of_both, chosen, axis=-1)[:, 0]
    np.testing.assert_array_equal(found, alone)


def test_a_law_must_fit_its_support():
  with pytest.raises(AssertionError):
    distributions.mean(jnp.zeros((2, 3)), jnp.zeros(4))
