"""Methods side by side at one KL, however their strengths are counted."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def at_equal_kl(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
  """What every method reaches at the KL of the selected Q# row.

  Along a method's own rows of the last round, and the reference at KL 0,
  numbers are interpolated linearly in the root of KL, with which reward
  grows at first. Linearly in KL, a method with a row at that very KL would be
  favoured over others on the same front. A method whose rows do not reach that
  KL, or have none, is listed with its selected row, as it is.

  Args:
    rows: of a report, in the form of `report.Row.to_dict`.

  Returns:
    One entry per method: `method`, `kl`, `reward`, `forwards` (model forwards
    of one response), `is_interpolated`. Empty without a selected Q# row.
  """
  chosen = [r for r in rows if r["method"] == "qsharp" and r["selected"]]
  if not chosen:
    return []
  kl = chosen[0]["kl"]
  reference = next(r for r in rows if r["method"] == "reference")
  names = dict.fromkeys(r["method"] for r in rows if r is not reference)
  return [_entry(reference, 0.0, False)] + [
    _at(kl, reference, [r for r in rows if r["method"] == name])
    for name in names
  ]


def _at(
  kl: float, reference: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
  last = max(r["round"] for r in rows)
  rows = [r for r in rows if r["round"] == last]
  curve = sorted(
    (r for r in rows if np.isfinite(r["kl"])), key=operator.itemgetter("kl")
  )
  if len(rows) == 1 or not curve or curve[-1]["kl"] < kl:
    selected = next(r for r in rows if r["selected"])
    return _entry(selected, selected["kl"], False)
  points = [reference, *curve]
  # The reference has no strength to speak of: its cost is the weakest row's.
  costs = [curve[0]["forwards"], *(r["forwards"] for r in curve)]
  roots = np.sqrt([0.0, *(r["kl"] for r in curve)])

  def at_kl(numbers):
    return float(np.interp(np.sqrt(kl), roots, numbers))

  return _entry(curve[0], kl, True) | {
    "reward": at_kl([r["reward"] for r in points]),
    "forwards": at_kl(costs),
  }


def _entry(
  row: Mapping[str, Any], kl: float, is_interpolated: bool
) -> dict[str, Any]:
  return {
    "method": row["method"],
    "kl": kl,
    "reward": row["reward"],
    "forwards": row["forwards"],
    "is_interpolated": is_interpolated,
  }
