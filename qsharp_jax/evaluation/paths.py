"""Accuracy of paths, node by node."""

from collections.abc import Sequence

import numpy as np


def per_position(
  extracted: Sequence[str | None], answers: Sequence[str]
) -> np.ndarray:
  """Share of samples with the right node, for each place along the path.

  A place beyond a sample's end counts as wrong, and so does every place of a
  sample that is no path at all. Nodes beyond the answer's end do not count
  here: a path that is right as a whole has none.

  Args:
    extracted: paths as node numbers joined by commas, None for no path.
    answers: the right paths, in the same form, as many.

  Returns:
    Accuracies, one for each place of the longest answer; places that an answer
    does not have are left out of its mean. Shape [longest], float64.

  Raises:
    ValueError: lists of different lengths, or none.
  """
  if len(extracted) != len(answers) or not answers:
    raise ValueError(
      f"got {len(extracted)} paths and {len(answers)} answers, expected as "
      "many, and some"
    )
  longest = max(answer.count(",") + 1 for answer in answers)
  hits = np.zeros((len(answers), longest))
  exists = np.zeros((len(answers), longest), bool)
  for row, (path, answer) in enumerate(zip(extracted, answers, strict=True)):
    gold = answer.split(",")
    found = [] if path is None else path.split(",")
    exists[row, : len(gold)] = True
    for place, (got, expected) in enumerate(zip(found, gold, strict=False)):
      hits[row, place] = got == expected
  return hits.sum(axis=0) / exists.sum(axis=0)


def columns(
  extracted: Sequence[str | None], answers: Sequence[str]
) -> dict[str, list[float]]:
  """`per_position` to four digits, as a column of the report."""
  shares = per_position(extracted, answers)
  return {"per_position": [round(float(x), 4) for x in shares]}
