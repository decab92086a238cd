"""When the guided policy hands over, and what is labelled then."""

import numpy as np
import pytest

from qsharp_jax.core import seeds as seeds_lib
from qsharp_jax.rollout import switch

SEEDS = [seeds_lib.stable_seed("switch", i) for i in range(4000)]


def assert_uniform(draws, least, most):
  """All values of the range, each as often as chance allows."""
  values, counts = np.unique(draws, return_counts=True)
  np.testing.assert_array_equal(values, np.arange(least, most + 1))
  expected = len(draws) / len(values)
  # Five standard deviations of a count.
  assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


def test_drawn_before_is_uniform_over_the_horizon():
  steps = switch.draw_before(SEEDS, horizon=8)
  assert_uniform(steps, 0, 7)  # h - 1 for h in 1..8


def test_drawn_within_is_uniform_over_each_own_length():
  lengths = np.tile([1, 2, 10], 2000)[: len(SEEDS)]
  steps = switch.draw_within(SEEDS, lengths)
  for length in (1, 2, 10):
    assert_uniform(steps[lengths == length], 1, length)


def test_a_horizon_of_one_guides_nothing():
  assert switch.draw_before([1, 2], horizon=1).tolist() == [0, 0]


def test_draws_depend_on_their_seed_alone():
  steps = switch.draw_before(SEEDS[:50], horizon=100)
  np.testing.assert_array_equal(
    switch.draw_before(SEEDS[49::-1], horizon=100), steps[::-1]
  )
  assert len(set(steps.tolist())) > 30


@pytest.mark.parametrize(
  "rule, first", [("algorithm1", [0, 2, 5]), ("response", [-1, 1, 4])]
)
def test_first_label_by_hand(rule, first):
  assert switch.first_label([0, 2, 5], rule).tolist() == first
