"""What a policy is worth: accuracy, KL, calibration, intervals, reports."""

from qsharp_jax.evaluation import (
  accuracy,
  calibration,
  calibration_plot,
  coherence,
  columns,
  diversity,
  intervals,
  markdown,
  marks,
  matching,
  optimum,
  page,
  pit,
  plots,
  preference,
  report,
  summary,
)
from qsharp_jax.evaluation.summary import Row, Samples

__all__ = [
  "Row",
  "Samples",
  "accuracy",
  "calibration",
  "calibration_plot",
  "coherence",
  "columns",
  "diversity",
  "intervals",
  "markdown",
  "marks",
  "matching",
  "optimum",
  "page",
  "pit",
  "plots",
  "preference",
  "report",
  "summary",
]
