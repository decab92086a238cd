import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import intervals


def test_covers_the_true_mean_about_as_often_as_it_says():
  generator = np.random.default_rng(0)
  inside = 0
  for trial in range(300):
    values = generator.binomial(4, 0.6, size=80) / 4
    low, high = intervals.bootstrap_mean(
      values, num_resamples=200, seed=trial, level=0.9
    )
    inside += low <= 0.6 <= high
  # 0.9 with a standard error of 0.017, and a little less for 80 questions.
  assert 0.84 < inside / 300 < 0.95


def test_agrees_with_the_normal_interval_on_many_questions():
  values = np.random.default_rng(1).normal(2.0, 3.0, size=2000)
  low, high = intervals.bootstrap_mean(values, num_resamples=1500)
  half = 1.96 * values.std() / np.sqrt(2000)
  assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
  assert high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_two_questions_by_hand():
  # Means 0, 0.5, 1 with probabilities 1/4, 1/2, 1/4.
  assert intervals.bootstrap_mean([0.0, 1.0]) == (0.0, 1.0)
  assert intervals.bootstrap_mean([0.0, 1.0], level=0.4) == (0.5, 0.5)


def test_seed_decides_and_level_widens():
  values = np.random.default_rng(2).random(50)
  first = intervals.bootstrap_mean(values, seed=4)
  assert first == intervals.bootstrap_mean(values, seed=4)
  assert first != intervals.bootstrap_mean(values, seed=5)
  low, high = intervals.bootstrap_mean(values, seed=4, level=0.5)
  assert first[0] < low < high < first[1]


def test_no_spread_no_width():
  assert intervals.bootstrap_mean([0.25] * 7) == (0.25, 0.25)


@pytest.mark.parametrize("values", [[], [[0.1, 0.2]]])
def test_refuses_other_shapes(values):
  with pytest.raises(InputError, match="one value per question"):
    intervals.bootstrap_mean(values)


@pytest.mark.parametrize("level", [0.0, 1.0, 95])
def test_refuses_levels_outside_the_unit_interval(level):
  with pytest.raises(InputError, match="level"):
    intervals.bootstrap_mean([0.1, 0.2], level=level)
