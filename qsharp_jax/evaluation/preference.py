"""How often a judge prefers a method's answers to the reference's."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qsharp_jax.core.errors import InputError


class Outcome(NamedTuple):
  """Shares of comparisons, which sum to 1."""

  win: float
  tie: float
  lose: float


def against(
  scores: npt.ArrayLike, reference: npt.ArrayLike, *, margin: float
) -> Outcome:
  """Every answer beside every one of the reference to the same question.

  Args:
    scores: by the judge, of a method's answers. Shape [Q, M].
    reference: of the reference's. Shape [Q, N].
    margin: what a score must be higher by to win, in units of the scores, >= 0.

  Returns:
    The shares, each question counting the same.

  Raises:
    InputError: scores that are not finite, or of different questions.
  """
  ours, theirs = np.asarray(scores, float), np.asarray(reference, float)
  if ours.ndim != 2 or theirs.ndim != 2 or len(ours) != len(theirs):
    raise InputError(
      f"a judge gave scores of shape {ours.shape} for a method and "
      f"{theirs.shape} for the reference; expected [questions, answers] of the "
      "same questions"
    )
  for table in (ours, theirs):
    if not np.isfinite(table).all():
      raise InputError(
        f"the judge scored {int((~np.isfinite(table)).sum())} of {table.size} "
        f"answers {table[~np.isfinite(table)][0]}; expected finite numbers: "
        "mend it, or choose another judge"
      )
  if not margin >= 0:
    raise InputError(f"the judge's margin is {margin}; expected at least 0")
  gaps = ours[:, :, None] - theirs[:, None, :]
  win, lose = float((gaps > margin).mean()), float((gaps < -margin).mean())
  return Outcome(win, max(0.0, 1.0 - win - lose), lose)
