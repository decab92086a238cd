"""Methods beside best-of-n that spends as many forwards of the models."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from qsharp_jax.evaluation import intervals


def best_of(rewards: npt.ArrayLike) -> np.ndarray:
  """Mean best reward of n of the samples, for every n there is.

  Args:
    rewards: of N samples of each question. Shape [Q, N].

  Returns:
    The mean over all choices of n of N, n = 1 … N: without bias for n fresh
    samples. Shape [Q, N].
  """
  ordered = np.sort(np.asarray(rewards, np.float64), axis=1)
  num = ordered.shape[1]
  # The rank k is the best of n with the chance C(k - 1, n - 1) / C(N, n).
  found, chances = [], np.full(num, 1 / num)
  ranks = np.arange(1, num + 1)
  for n in range(1, num + 1):
    found.append((ordered * chances).sum(axis=1))
    chances = chances * (ranks - n) / n * (n + 1) / max(num - n, 1)
    chances = np.maximum(chances, 0.0)
  return np.stack(found, axis=1)


def at_equal_forwards(
  rows: Sequence[Mapping[str, Any]], rewards: Sequence[npt.ArrayLike]
) -> list[dict[str, Any]]:
  """Every row beside best-of-n by the very reward, at equal forwards.

  An answer of best-of-n costs what one of the reference costs, and one reading
  by the reward, which counts as a forward wherever a search asks for it.
  Between whole n it is interpolated. A row that pays for more samples than
  there are is compared with the best of all of them.

  Args:
    rows: of a report, in the form of `report.Row.to_dict`.
    rewards: of each row's samples, by question, the same questions in the same
      order. Shapes [Q, n of the row].

  Returns:
    One entry a row: `method`, `eta`, `forwards`, `reward`, `n` (samples that
    its forwards pay for), `compared_n` (those that were there), `best_of_n`,
    `difference` and its bootstrap interval `ci95`, paired by question.
  """
  names = [row["method"] for row in rows]
  place = names.index("reference")
  cost, curve = rows[place]["forwards"] + 1, best_of(rewards[place])
  found = []
  for row, own in zip(rows, rewards, strict=True):
    n = max(1.0, row["forwards"] / cost)
    compared = min(n, float(curve.shape[1]))
    best = _between(curve, compared)
    difference = np.asarray(own, np.float64).mean(axis=1) - best
    found.append(
      {
        "method": row["method"],
        "eta": row["eta"],
        "forwards": row["forwards"],
        "reward": row["reward"],
        "n": n,
        "compared_n": compared,
        "best_of_n": float(best.mean()),
        "difference": float(difference.mean()),
        "ci95": intervals.bootstrap_mean(difference),
      }
    )
  return found


def _between(curve: np.ndarray, n: float) -> np.ndarray:
  """The curve [Q, N] of n = 1 … N at any n among them. Shape [Q]."""
  low = int(n)
  below, above = (curve[:, min(i, curve.shape[1]) - 1] for i in (low, low + 1))
  return below + (n - low) * (above - below)
