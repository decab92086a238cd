"""The optimum and its front against brute force and closed forms."""

import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import optimum


def _rewards(seed, questions=7, samples=9):
  generator = np.random.default_rng(seed)
  return generator.normal(size=(questions, samples)).round(1)


def _plug_in(row, eta):
  return eta * np.log(np.mean([np.exp(r / eta) for r in row]))


@pytest.mark.parametrize("eta", [0.05, 0.3, 2.0])
def test_plug_in_is_the_soft_value(eta):
  rewards = _rewards(0)
  found = optimum.optimum(rewards, eta=eta, is_corrected=False)
  np.testing.assert_allclose(found, [_plug_in(row, eta) for row in rewards])


@pytest.mark.parametrize("eta", [0.05, 0.3, 2.0])
def test_jackknife_leaves_out_each_sample_once(eta):
  rewards = _rewards(1)
  n = rewards.shape[1]
  expected = [
    n * _plug_in(row, eta)
    - (n - 1) * np.mean([_plug_in(np.delete(row, i), eta) for i in range(n)])
    for row in rewards
  ]
  np.testing.assert_allclose(optimum.optimum(rewards, eta=eta), expected)


def test_nothing_is_lost_where_one_sample_is_the_whole_sum():
  found = optimum.optimum([[1.0, 0.0, 0.0]], eta=1e-3)
  # Without the one that counts, 0 is the best; it is left out once in three.
  left = 1.0 + 1e-3 * np.log(0.5)
  plug_in = 1.0 + 1e-3 * np.log(1 / 3)
  np.testing.assert_allclose(found, 3 * plug_in - 2 * (2 * left) / 3)


def test_jackknife_lowers_the_bias():
  generator = np.random.default_rng(2)
  success, eta = 0.3, 0.3
  exact = eta * np.log(1 - success + success * np.exp(1 / eta))
  rewards = (generator.random((20_000, 64)) < success).astype(float)
  plug_in = optimum.optimum(rewards, eta=eta, is_corrected=False).mean()
  corrected = optimum.optimum(rewards, eta=eta).mean()
  assert plug_in < exact
  assert abs(corrected - exact) < 0.4 * abs(plug_in - exact)


@pytest.mark.parametrize("is_corrected", [False, True])
def test_front_of_verdicts_is_the_closed_form(is_corrected):
  successes = np.array([0.1, 0.5, 0.9])
  rewards = (np.arange(1000) < 1000 * successes[:, None]).astype(float)
  found = optimum.front(rewards, [0.2, 1.0], is_corrected=is_corrected)
  for eta, kl, reward in zip([0.2, 1.0], found.kl, found.reward, strict=True):
    weight = successes * np.exp(1 / eta)
    best = weight / (weight + 1 - successes)
    exact = best * np.log(best / successes) + (1 - best) * np.log(
      (1 - best) / (1 - successes)
    )
    np.testing.assert_allclose(reward, best, atol=2e-3)
    np.testing.assert_allclose(kl, exact, atol=4e-3)


def test_the_optimum_lies_on_the_front():
  rewards = _rewards(3)
  for eta in (0.1, 1.0):
    kl, reward, _ = optimum.front(rewards, [eta], is_corrected=False)
    np.testing.assert_allclose(
      reward[0] - eta * kl[0],
      optimum.optimum(rewards, eta=eta, is_corrected=False),
    )


def test_no_tilt_of_another_strength_has_a_better_objective():
  rewards = _rewards(4)
  kl, reward, _ = optimum.front(
    rewards, np.geomspace(0.05, 5, 40), is_corrected=False
  )
  best = optimum.optimum(rewards, eta=0.4, is_corrected=False)
  assert (reward - 0.4 * kl <= best + 1e-12).all()


@pytest.mark.parametrize("eta", [0.1, 0.4, 3.0])
def test_no_policy_has_a_better_objective(eta):
  rewards = _rewards(6)
  best = optimum.optimum(rewards, eta=eta, is_corrected=False)
  generator = np.random.default_rng(7)
  for concentration in (0.1, 1.0, 30.0):
    policies = generator.dirichlet([concentration] * 9, size=(50, 7)) + 1e-12
    kl = np.sum(policies * np.log(9 * policies), axis=-1)
    reward = np.sum(policies * rewards, axis=-1)
    assert (reward - eta * kl <= best + 1e-9).all()


def test_band_holds_the_front_and_rises():
  rewards = _rewards(5, questions=40, samples=30)
  found = optimum.front(rewards, np.geomspace(0.05, 20, 60))
  curve = optimum.band(found, num_resamples=100)
  assert (curve.low <= curve.reward).all()
  assert (curve.reward <= curve.high).all()
  assert (np.diff(curve.reward) >= 0).all()
  assert curve.kl[0] == 0
  assert curve.reward[0] == pytest.approx(rewards.mean())


def test_share_is_one_at_the_optimum_and_nan_without_a_gain():
  of = optimum.share
  assert of(0.9, reference_reward=0.5, optimum=0.9) == 1.0
  assert of(0.7, reference_reward=0.5, optimum=0.9) == pytest.approx(0.5)
  assert np.isnan(of(0.5, reference_reward=0.5, optimum=0.5))


def test_one_sample_is_its_own_optimum():
  assert optimum.optimum([[0.3], [-2.0]], eta=0.1).tolist() == [0.3, -2.0]


@pytest.mark.parametrize("rewards", [[1.0], [[np.nan, 1.0]], np.zeros((0, 3))])
def test_refuses_what_is_no_table_of_rewards(rewards):
  with pytest.raises(InputError, match="expected finite"):
    optimum.optimum(rewards, eta=0.1)


@pytest.mark.parametrize("eta", [0.0, -1.0, np.inf, np.nan])
def test_refuses_an_eta_that_is_no_weight(eta):
  with pytest.raises(InputError, match="expected a finite number > 0"):
    optimum.optimum([[1.0, 0.0]], eta=eta)
