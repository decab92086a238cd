"""Metrics of values, by hand."""

import numpy as np

from qsharp_jax.evaluation import value_metrics


def test_metrics_of_verdicts_by_hand():
  got = value_metrics.summarise(
    value_metrics.Forecasts(
      label=np.array([1.0, 0.0, 1.0]),
      mean=np.array([0.9, 0.6, 0.3]),
      loss=np.array([1.0, 2.0, 6.0]),
    ),
    np.array([0, 1, 2]),
  )
  assert got["tokens"] == 3
  np.testing.assert_allclose(got["loss"], 3.0)
  # Successes at 0.9 and 0.3, the failure at 0.6: one pair of two is in order.
  np.testing.assert_allclose(got["roc_auc"], 0.5)
  errors = np.array([1, 0, 1]) - np.array([0.9, 0.6, 0.3])
  np.testing.assert_allclose(
    got["explained_variance"], 1 - np.var(errors) / np.var([1, 0, 1]), rtol=1e-5
  )
  # Each in a bin of its own.
  np.testing.assert_allclose(
    got["calibration_error"], np.mean([0.1, 0.6, 0.7]), rtol=1e-5
  )
  assert "crps" not in got
  places = [(entry["low"], entry["count"]) for entry in got["by_position"]]
  assert places == [(0, 1), (1, 1), (2, 1)]
  assert got["by_position"][1]["mean_prediction"] == 0.6


def calibrated(shift=0.0):
  """Forecasts of uniform rewards on eleven atoms, perhaps moved."""
  rng = np.random.default_rng(0)
  atom = rng.integers(0, 11, 20_000)
  lower, upper = atom / 11, (atom + 1) / 11
  return value_metrics.Forecasts(
    label=3.0 * atom / 10 - 1 + shift,
    mean=np.full(len(atom), 0.5),
    loss=np.full(len(atom), np.log(11.0)),
    crps=np.full(len(atom), 0.25),
    pit_lower=np.clip(lower + shift, 0, 1)[:, None],
    pit_upper=np.clip(upper + shift, 0, 1)[:, None],
    pit_weights=np.ones((len(atom), 1)),
  )


def test_real_rewards_have_scores_and_no_verdicts():
  got = value_metrics.summarise(calibrated(), np.arange(20_000) % 7)
  np.testing.assert_allclose(got["log_likelihood"], -np.log(11.0))
  assert got["crps"] == 0.25
  assert got["pit_error"] < 0.02
  np.testing.assert_allclose(got["pit_histogram"], 1.0, atol=0.1)
  assert "roc_auc" not in got and "calibration_error" not in got
  assert [entry["low"] for entry in got["by_position"]] == [0, 1, 2, 4]
  moved = value_metrics.summarise(calibrated(0.2), np.arange(20_000) % 7)
  assert moved["pit_error"] > 0.15
