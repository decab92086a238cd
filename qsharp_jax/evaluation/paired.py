"""Methods against Q# on the same questions, at the same eta."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import intervals
from qsharp_jax.evaluation.samples import Samples
from qsharp_jax.evaluation.summary import Row


@dataclasses.dataclass(frozen=True)
class Objectives:
  """A row's objective, question by question.

  Attributes:
    row: the row.
    per_question: reward less eta times KL, mean over samples, questions by
      name. Shape [Q].
  """

  row: Row
  per_question: np.ndarray

  @classmethod
  def of(cls, row: Row, samples: Samples) -> "Objectives":
    """Of a row that has an eta, and its samples."""
    if row.eta is None:
      raise InputError(f"the row of {row.method} has no eta: expected one")
    reward = samples.by_question(samples.reward).mean(axis=1)
    kl = samples.mean_known(samples.kl)
    return cls(row, reward - row.eta * kl)


def against_qsharp(found: Sequence[Objectives]) -> list[dict[str, Any]]:
  """Objective of Q# less that of each other method at the same eta.

  Both answer the same questions, so the interval is one of the mean of the
  differences: much narrower than those of two rows suggest.

  Args:
    found: of rows of one evaluation; those of earlier rounds are left out.

  Returns:
    One entry for each method and eta: `method`, `eta`, `difference` and its
    bootstrap interval `ci95`, in reward units.
  """
  last = max((entry.row.round_index for entry in found), default=0)
  own = {
    entry.row.eta: entry
    for entry in found
    if entry.row.method == "qsharp" and entry.row.round_index == last
  }
  entries = []
  for other in found:
    row = other.row
    is_earlier = 0 < row.round_index < last
    if row.method == "qsharp" or is_earlier or row.eta not in own:
      continue
    difference = own[row.eta].per_question - other.per_question
    entries.append(
      {
        "method": row.method,
        "eta": row.eta,
        "difference": float(difference.mean()),
        "ci95": intervals.bootstrap_mean(difference),
      }
    )
  return entries
