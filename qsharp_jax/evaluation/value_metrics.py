"""How good are the values? Loss, variance explained, ROC-AUC, calibration."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from qsharp_jax import data
from qsharp_jax.evaluation import calibration


def summarise(
  predictions: np.ndarray,
  losses: np.ndarray,
  rows: data.Packed,
  prompt_lengths: Sequence[int],
) -> dict[str, Any]:
  """Metrics of means and losses [R, T] over labelled tokens.

  `prompt_lengths` are those of the packed sequences: the calibration by
  position counts response tokens, in bins that double.

  Labels above 1/2 count as success for `roc_auc` and the calibration error,
  which are meant for rewards in [0, 1].
  """
  values, labels = predictions[rows.mask], rows.labels[rows.mask]
  is_success = labels > 0.5
  clipped = np.clip(values, 0.0, 1.0)
  starts = np.asarray(prompt_lengths)[rows.sequence_ids[rows.mask]]
  positions = rows.positions[rows.mask] - starts
  edges = [0, *(2**i for i in range(int(positions.max()).bit_length() + 1))]
  bins = calibration.by_position(clipped, is_success, positions, edges=edges)
  return {
    "tokens": int(values.size),
    "loss": float(losses[rows.mask].mean()),
    "explained_variance": calibration.explained_variance(values, labels),
    "roc_auc": calibration.roc_auc(values, is_success),
    "calibration_error": calibration.expected_calibration_error(
      clipped, is_success
    ),
    "by_position": [dataclasses.asdict(entry) for entry in bins if entry.count],
  }
