"""Methods beside best-of-n that spends as many forwards of the models."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def best_of(rewards: npt.ArrayLike) -> np.ndarray:
  """Mean best reward of n of the samples, for every n there is.

  Args:
    rewards: of N samples of each question. Shape [Q, N].

  Returns:
    The mean over questions and over all choices of n of N, n = 1 … N: without
    bias for n fresh samples. Shape [N].
  """
  ordered = np.sort(np.asarray(rewards, np.float64), axis=1)
  num = ordered.shape[1]
  # The rank k is the best of n with the chance C(k - 1, n - 1) / C(N, n).
  found, chances = [], np.full(num, 1 / num)
  ranks = np.arange(1, num + 1)
  for n in range(1, num + 1):
    found.append(float((ordered * chances).sum(axis=1).mean()))
    chances = chances * (ranks - n) / n * (n + 1) / max(num - n, 1)
    chances = np.maximum(chances, 0.0)
  return np.array(found)


def at_equal_forwards(
  rows: Sequence[Mapping[str, Any]], rewards: npt.ArrayLike
) -> list[dict[str, Any]]:
  """Every row beside best-of-n by the very reward, at equal forwards.

  An answer of best-of-n costs what one of the reference costs, and one forward
  of the reward model. Between whole n it is interpolated.

  Args:
    rows: of a report, in the form of `report.Row.to_dict`.
    rewards: of the reference's samples. Shape [Q, N].

  Returns:
    One entry a row: `method`, `eta`, `forwards`, `reward`, `n`, `best_of_n`
    (None where it takes more samples than there are), `difference`.
  """
  reference = next(r for r in rows if r["method"] == "reference")
  curve = best_of(rewards)
  cost = reference["forwards"] + 1
  found = []
  for row in rows:
    n = max(1.0, row["forwards"] / cost)
    best = None
    if n <= len(curve):
      best = float(np.interp(n, np.arange(1, len(curve) + 1), curve))
    found.append(
      {
        "method": row["method"],
        "eta": row["eta"],
        "forwards": row["forwards"],
        "reward": row["reward"],
        "n": n,
        "best_of_n": best,
        "difference": None if best is None else row["reward"] - best,
      }
    )
  return found
