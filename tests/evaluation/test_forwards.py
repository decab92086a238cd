import itertools

import numpy as np
import pytest

from qsharp_jax.evaluation import forwards


def test_best_of_by_all_choices():
  rewards = np.random.default_rng(0).normal(size=(3, 6))
  found = forwards.best_of(rewards)
  for n in range(1, 7):
    choices = list(itertools.combinations(range(6), n))
    best = [rewards[:, list(c)].max(axis=1) for c in choices]
    np.testing.assert_allclose(found[:, n - 1], np.mean(best, axis=0))


def test_many_samples_stay_finite():
  rewards = np.random.default_rng(1).uniform(size=(2, 200))
  found = forwards.best_of(rewards).mean(axis=0)
  assert np.isfinite(found).all() and (np.diff(found) > 0).all()
  assert found[1] == pytest.approx(2 / 3, abs=0.05)


def test_rows_by_hand():
  rows = [
    {"method": "reference", "eta": None, "forwards": 9.0, "reward": 1.0},
    {"method": "qsharp", "eta": 0.1, "forwards": 20.0, "reward": 2.5},
    {"method": "blocks", "eta": None, "forwards": 15.0, "reward": 1.0},
    {"method": "transfer", "eta": 0.1, "forwards": 31.0, "reward": 2.0},
  ]
  rewards = [[[0.0, 2.0]], [[2.0, 3.0]], [[1.0]], [[2.0]]]
  found = forwards.at_equal_forwards(rows, rewards)
  by_name = {entry["method"]: entry for entry in found}
  # One sample earns 1, two earn 2; each costs 9 and one of the reward model.
  assert by_name["qsharp"]["n"] == 2.0
  assert by_name["qsharp"]["best_of_n"] == pytest.approx(2.0)
  assert by_name["qsharp"]["difference"] == pytest.approx(0.5)
  assert by_name["blocks"]["best_of_n"] == pytest.approx(1.5)
  # 31 forwards pay for 3.1 samples, of which there are 2.
  assert by_name["transfer"]["n"] == pytest.approx(3.1)
  assert by_name["transfer"]["compared_n"] == 2.0
  assert by_name["transfer"]["difference"] == pytest.approx(0.0)
  assert by_name["reference"]["best_of_n"] == pytest.approx(1.0)


def test_the_interval_is_of_paired_questions():
  rows = [
    {"method": "reference", "eta": None, "forwards": 1.0, "reward": 2.0},
    {"method": "blocks", "eta": None, "forwards": 3.0, "reward": 2.5},
  ]
  # Questions differ by far more than the methods do on any of them.
  rewards = [[[-9.0, -9.0], [13.0, 13.0]], [[-8.5], [13.5]]]
  entry = forwards.at_equal_forwards(rows, rewards)[1]
  assert entry["n"] == 1.5 and entry["best_of_n"] == pytest.approx(2.0)
  assert entry["ci95"] == pytest.approx((0.5, 0.5))
