import math

import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import calibration


def auc_by_pairs(scores, labels):
  wins = [
    (a > b) + 0.5 * (a == b)
    for a, is_right in zip(scores, labels, strict=True)
    if is_right
    for b, other in zip(scores, labels, strict=True)
    if not other
  ]
  return sum(wins) / len(wins)


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_roc_auc_equals_the_share_of_ordered_pairs(levels):
  generator = np.random.default_rng(levels)
  for _ in range(20):
    scores = generator.integers(levels, size=30) / levels
    labels = generator.random(30) < 0.3 + 0.4 * scores
    labels[:2] = [True, False]
    assert calibration.roc_auc(scores, labels) == pytest.approx(
      auc_by_pairs(scores, labels)
    )


def test_roc_auc_limits():
  labels = [0, 0, 1, 1]
  assert calibration.roc_auc([1, 2, 3, 4], labels) == 1.0
  assert calibration.roc_auc([4, 3, 2, 1], labels) == 0.0
  assert calibration.roc_auc([7, 7, 7, 7], labels) == 0.5
  assert calibration.roc_auc([-np.inf, 0, 1, np.inf], labels) == 1.0


def test_roc_auc_depends_on_order_alone():
  generator = np.random.default_rng(1)
  logits, labels = generator.normal(size=60), generator.random(60) < 0.4
  probabilities = 1 / (1 + np.exp(-logits))
  assert calibration.roc_auc(logits, labels) == calibration.roc_auc(
    probabilities, labels
  )


@pytest.mark.parametrize("labels", [[1, 1], [0, 0]])
def test_roc_auc_of_one_class_is_nan(labels):
  assert math.isnan(calibration.roc_auc([0.1, 0.2], labels))


def test_roc_auc_of_nothing_or_nan_is_nan():
  assert math.isnan(calibration.roc_auc([], []))
  assert math.isnan(calibration.roc_auc([0.1, math.nan], [0, 1]))


def test_roc_auc_refuses_graded_labels_and_other_shapes():
  with pytest.raises(InputError, match="other than 0 and 1"):
    calibration.roc_auc([0.1, 0.2], [0.5, 1])
  with pytest.raises(InputError, match="two equal shapes"):
    calibration.roc_auc([0.1, 0.2], [1])


def test_explained_variance_by_hand():
  targets = [0.0, 0.0, 1.0, 1.0]
  assert calibration.explained_variance(targets, targets) == 1.0
  assert calibration.explained_variance([0.3] * 4, targets) == 0.0
  # Residuals +-0.25: variance 1/16 of a variance of 1/4.
  got = calibration.explained_variance([0.25, -0.25, 1.25, 0.75], targets)
  assert got == 0.75
  assert calibration.explained_variance([1, 1, 0, 0], targets) == -3.0


def test_explained_variance_ignores_an_offset_and_needs_spread():
  targets = np.random.default_rng(0).random(9)
  assert calibration.explained_variance(targets + 2, targets) == pytest.approx(
    1
  )
  assert math.isnan(calibration.explained_variance([0.1, 0.2], [0.1, 0.1]))
  assert math.isnan(calibration.explained_variance([], []))


def test_reliability_table_by_hand():
  table = calibration.reliability_table(
    [0.0, 0.1, 0.5, 0.6, 1.0], [0, 1, 0, 1, 1], num_bins=4
  )
  assert [entry.count for entry in table] == [2, 0, 2, 1]
  assert (table[0].low, table[3].high) == (0.0, 1.0)
  assert table[0].mean_probability == pytest.approx(0.05)
  assert table[0].mean_label == 0.5
  assert math.isnan(table[1].mean_label)
  assert table[3] == calibration.Bin(0.75, 1.0, 1, 1.0, 1.0)


def test_calibration_error_by_hand():
  # Bins: 2 x |0.05 - 0.5|, 2 x |0.55 - 0.5|, 1 x 0.
  got = calibration.expected_calibration_error(
    [0.0, 0.1, 0.5, 0.6, 1.0], [0, 1, 0, 1, 1], num_bins=4
  )
  assert got == pytest.approx((2 * 0.45 + 2 * 0.05) / 5)


def test_calibration_error_of_one_bin_is_the_gap_of_the_means():
  generator = np.random.default_rng(0)
  p, labels = generator.random(40), generator.random(40) < 0.5
  got = calibration.expected_calibration_error(p, labels, num_bins=1)
  assert got == pytest.approx(abs(p.mean() - labels.mean()))


def test_calibration_error_equals_a_loop_over_samples():
  generator = np.random.default_rng(4)
  p = generator.random(300)
  labels = generator.random(300) < p**2
  gaps = [0.0] * 10
  for probability, label in zip(p, labels, strict=True):
    gaps[min(int(probability * 10), 9)] += probability - label
  expected = sum(map(abs, gaps)) / 300
  got = calibration.expected_calibration_error(p, labels)
  assert got == pytest.approx(expected)


def test_samples_of_the_stated_chance_are_calibrated():
  generator = np.random.default_rng(5)
  p = generator.random(50_000)
  labels = generator.random(50_000) < p
  assert calibration.expected_calibration_error(p, labels) < 0.01
  assert calibration.expected_calibration_error(1 - p, labels) > 0.4


@pytest.mark.parametrize(
  "p, labels", [([1.2], [1]), ([-0.1], [1]), ([math.nan], [1]), ([0.5], [2])]
)
def test_calibration_refuses_numbers_outside_the_unit_interval(p, labels):
  with pytest.raises(InputError, match="outside"):
    calibration.expected_calibration_error(p, labels)


def test_calibration_of_nothing_is_nan():
  assert math.isnan(calibration.expected_calibration_error([], []))


def test_by_position_by_hand():
  table = calibration.by_position(
    [0.2, 0.8, 0.6, 0.4, 0.9, 0.5],
    [0, 1, 0, 1, 1, 0],
    [0, 1, 2, 3, 99, -1],
    edges=[0, 2, 4, math.inf],
  )
  assert [entry.count for entry in table] == [2, 2, 1]
  assert [entry.roc_auc for entry in table[:2]] == [1.0, 0.0]
  assert math.isnan(table[2].roc_auc)
  assert table[0].mean_probability == 0.5
  assert table[0].calibration_error == pytest.approx(0.2)
  assert table[1].calibration_error == pytest.approx(0.6)
  assert (table[1].low, table[1].high) == (2.0, 4.0)


def test_by_position_of_one_bin_is_the_whole():
  generator = np.random.default_rng(6)
  p, labels = generator.random(50), generator.random(50) < 0.5
  (entry,) = calibration.by_position(p, labels, np.arange(50), edges=[0, 50])
  assert entry.roc_auc == calibration.roc_auc(p, labels)
  assert entry.count == 50


@pytest.mark.parametrize("edges", [[0], [0, 0], [4, 2]])
def test_by_position_refuses_edges_that_do_not_increase(edges):
  with pytest.raises(InputError, match="increasing"):
    calibration.by_position([0.5], [1], [0], edges=edges)
