"""How good are the values? Scores, variance explained, ranking, calibration."""

import dataclasses
from typing import Any

import numpy as np

from qsharp_jax.evaluation import calibration, pit


@dataclasses.dataclass(frozen=True)
class Forecasts:
  """Values of tokens beside their labels; S tokens, flat.

  Attributes:
    label: reward-to-go. [S].
    mean: mean of the forecast. [S].
    loss: of the forecast at the label. [S].
    crps: continuous ranked probability score; None of means alone. [S].
    pit_lower: bounds of the probability integral transform; None of means
      alone. [S, M].
    pit_upper: likewise.
    pit_weights: of the M outcomes that a label stands for. [S, M].
  """

  label: np.ndarray
  mean: np.ndarray
  loss: np.ndarray
  crps: np.ndarray | None = None
  pit_lower: np.ndarray | None = None
  pit_upper: np.ndarray | None = None
  pit_weights: np.ndarray | None = None

  @property
  def is_of_verdicts(self) -> bool:
    """Whether every label is 0 or 1, and every mean a probability."""
    is_inside = (self.mean >= 0) & (self.mean <= 1)
    return bool(np.isin(self.label, (0, 1)).all() and is_inside.all())

  def take(self, inside: np.ndarray) -> "Forecasts":
    """The tokens of a mask."""
    columns = {k: x for k, x in vars(self).items() if x is not None}
    return Forecasts(**{k: x[inside] for k, x in columns.items()})


def summarise(found: Forecasts, positions: np.ndarray) -> dict[str, Any]:
  """Metrics of all tokens, and by position.

  Args:
    found: labelled tokens.
    positions: of each among the tokens of its response; bins of them double.
      Shape [S].

  Returns:
    `tokens`, `loss`, `explained_variance`; of distributions `log_likelihood`
    (mean, nats), `crps`, `pit_error` and `pit_histogram`; where labels are 0
    or 1 `roc_auc` and `calibration_error`. `by_position` has the same of every
    bin that is not empty, and what was predicted and observed there.
  """
  edges = [0, *(2**i for i in range(int(positions.max()).bit_length() + 1))]
  bins = calibration.position_bins(positions, found.mean, edges)
  is_verdict = found.is_of_verdicts
  entries = [
    {
      "low": low,
      "high": high,
      "count": int(inside.sum()),
      "mean_prediction": float(found.mean[inside].mean()),
      "mean_label": float(found.label[inside].mean()),
      **_metrics(found.take(inside), is_verdict),
    }
    for low, high, inside in bins
    if inside.any()
  ]
  return {
    "tokens": int(found.label.size),
    "loss": float(found.loss.mean()),
    **_metrics(found, is_verdict),
    "by_position": entries,
  }


def _metrics(found: Forecasts, is_verdict: bool) -> dict[str, Any]:
  metrics: dict[str, Any] = {}
  lower, upper, weights = found.pit_lower, found.pit_upper, found.pit_weights
  if found.crps is not None:
    assert lower is not None and upper is not None and weights is not None
    bounds = pit.Bounds(lower, upper, weights)
    metrics |= {
      "log_likelihood": -float(found.loss.mean()),
      "crps": float(found.crps.mean()),
      "pit_error": pit.error(bounds),
      "pit_histogram": pit.histogram(bounds).tolist(),
    }
  metrics["explained_variance"] = calibration.explained_variance(
    found.mean, found.label
  )
  if is_verdict:
    metrics |= {
      "roc_auc": calibration.roc_auc(found.mean, found.label),
      "calibration_error": calibration.expected_calibration_error(
        found.mean, found.label
      ),
    }
  return metrics
