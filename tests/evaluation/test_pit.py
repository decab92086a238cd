"""Forecasts with steps: calibrated ones pass, shifted and narrow ones fail."""

import math

import jax
import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import pit
from qsharp_jax.ops import distributions

ATOMS = np.linspace(-1, 2, 7, dtype=np.float32)
NUM = 20_000


def bells(centres, deviation=0.6):
  """Log-probabilities of bells on the atoms. Shape [S, K]."""
  scores = -np.square((ATOMS - centres[:, None]) / deviation) / 2
  return np.asarray(jax.nn.log_softmax(np.float32(scores)))


CENTRES = np.random.default_rng(0).uniform(0, 1, NUM)


def observed():
  """One atom drawn from each of the bells around `CENTRES`."""
  probs = np.exp(np.float64(bells(CENTRES)))
  uniforms = np.random.default_rng(1).random((NUM, 1))
  places = (probs.cumsum(-1)[:, :-1] < uniforms).sum(-1)
  return ATOMS[places]


def bounds_of(log_probs, values):
  found = jax.jit(distributions.pit)(log_probs, ATOMS, np.float32(values))
  return pit.Bounds(*jax.device_get(found))


def drawn(bounds, seed=2):
  """The randomised transform: one number between the bounds of each."""
  lower, upper = (np.asarray(x, np.float64) for x in bounds[:2])
  return lower + np.random.default_rng(seed).random(len(lower)) * (
    upper - lower
  )


def test_calibrated_forecasts_pass():
  bounds = bounds_of(bells(CENTRES), observed())
  assert pit.error(bounds) < 0.01
  np.testing.assert_allclose(pit.histogram(bounds), 1, atol=0.05)


@pytest.mark.parametrize("shift", [0.5, -0.5])
def test_shifted_forecasts_fail(shift):
  bounds = bounds_of(bells(CENTRES + shift), observed())
  assert pit.error(bounds) > 0.2
  heights = pit.histogram(bounds)[:: int(2 * shift)]
  assert heights[0] > 1.8 and heights[-1] < 0.5


def test_narrow_and_wide_forecasts_fail_in_opposite_ways():
  both = [bounds_of(bells(CENTRES, d), observed()) for d in (0.4, 1.0)]
  narrow, wide = map(pit.histogram, both)
  assert narrow[0] > 1.2 < narrow[-1] and narrow[4] < 0.8
  assert wide[0] < 0.8 > wide[-1] and wide[4] > 1.1
  assert min(map(pit.error, both)) > 0.03


def test_nothing_is_drawn_but_what_would_be_on_average():
  bounds = bounds_of(bells(CENTRES), observed())
  numbers = drawn(bounds)
  points = np.linspace(0, 1, 21)
  expected = [(numbers <= point).mean() for point in points]
  np.testing.assert_allclose(pit.cdf(bounds, points), expected, atol=0.01)


def test_values_between_atoms_are_calibrated_as_projected():
  # Every reward is 0.1: all that a forecast on atoms can say is 0.8 and 0.2.
  values = np.full(50, 0.1, np.float32)
  projected = np.asarray(distributions.two_hot(values, ATOMS))
  with np.errstate(divide="ignore"):
    log_probs = np.log(projected)
  both, weights = distributions.projected_pit(log_probs, ATOMS, values)
  assert pit.error(pit.Bounds(*both, weights)) < 1e-6
  assert pit.error(bounds_of(log_probs, values)) > 0.7


def test_by_hand():
  # Uniform on [0, 1/2] and on [1/2, 1]; a step at 1/4.
  bounds = pit.Bounds([0.0, 0.5, 0.25], [0.5, 1.0, 0.25])
  np.testing.assert_allclose(
    pit.cdf(bounds, [0, 0.2, 0.25, 0.5, 0.75, 1]),
    np.array([0, 0.4, 1.5, 2, 2.5, 3]) / 3,
  )
  np.testing.assert_allclose(
    pit.histogram(bounds, num_bins=2), 2 * np.array([2, 1]) / 3
  )
  assert pit.error(bounds, num_bins=4) == pytest.approx(0.25)


def test_steps_at_both_ends_are_in_the_histogram():
  bounds = pit.Bounds([0.0, 1.0], [0.0, 1.0])
  np.testing.assert_array_equal(pit.histogram(bounds, num_bins=4), [2, 0, 0, 2])
  assert pit.error(bounds) == 0.5


def test_weights_by_hand():
  bounds = pit.Bounds([[0.0, 0.5]], [[0.5, 1.0]], [[0.75, 0.25]])
  np.testing.assert_allclose(
    pit.cdf(bounds, [0.25, 0.5, 1.0]), [0.375, 0.75, 1]
  )


def test_by_position_by_hand():
  bounds = pit.Bounds([0.0, 0.0, 0.5, 0.5], [1.0, 1.0, 1.0, 1.0])
  first, second, empty = pit.by_position(
    bounds, [0, 1, 2, 9], edges=[0, 2, 4, 8], num_bins=2
  )
  assert (first.low, first.high, first.count) == (0.0, 2.0, 2)
  assert first.error == 0.0 and first.histogram == (1.0, 1.0)
  assert second.count == 1 and second.histogram == (0.0, 2.0)
  assert second.error == pytest.approx(0.5)
  assert empty.count == 0 and math.isnan(empty.error)


def test_by_position_of_one_bin_is_the_whole():
  bounds = bounds_of(bells(CENTRES), observed())
  (whole,) = pit.by_position(bounds, np.arange(NUM), edges=[0, math.inf])
  assert whole.error == pit.error(bounds)
  np.testing.assert_array_equal(whole.histogram, pit.histogram(bounds))


def test_nothing_observed_is_nan():
  nothing = pit.Bounds([], [])
  assert math.isnan(pit.error(nothing))
  assert np.isnan(pit.histogram(nothing)).all()


@pytest.mark.parametrize(
  ("bounds", "match"),
  [
    (pit.Bounds([0.1], [0.2, 0.3]), "equal shapes"),
    (pit.Bounds([0.1], [0.2], [[1.0]]), "equal shapes"),
    (pit.Bounds([0.3], [0.2]), "not in order"),
    (pit.Bounds([math.nan], [0.2]), "not in order"),
    (pit.Bounds([0.3], [1.2]), "outside"),
  ],
)
def test_refuses_what_is_no_bound(bounds, match):
  with pytest.raises(InputError, match=match):
    pit.error(bounds)


def test_refuses_no_bins():
  with pytest.raises(InputError, match="got 0 bins"):
    pit.histogram(pit.Bounds([0.1], [0.2]), num_bins=0)
