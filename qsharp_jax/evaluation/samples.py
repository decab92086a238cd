"""All samples of one line of the report, column by column."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from qsharp_jax.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Samples:
  """All samples of one (method, eta, round); S samples in any order.

  Attributes:
    question_ids: question of each sample, each as often as any other. [S].
    reward: of each sample, in reward units. [S].
    kl: KL to the reference over the response, before top-p, nats; NaN of a
      sample that was drawn lazily. [S].
    kl_filtered: the same after top-p. [S].
    length: response tokens. [S].
    truncated: True where the response never ended. [S].
    seconds: spent sampling all of them.
    correct: verdicts, None where the reward gives none. [S].
    extracted: class key of the answer, None where none was found, and of all
      where there are no verdicts. [S].
    value: score of each response, or None. [S].
  """

  question_ids: Sequence[str]
  reward: np.ndarray
  kl: np.ndarray
  kl_filtered: np.ndarray
  length: np.ndarray
  truncated: np.ndarray
  seconds: float
  correct: np.ndarray | None = None
  extracted: Sequence[str | None] | None = None
  value: np.ndarray | None = None

  def __post_init__(self):
    sizes = {
      field.name: len(getattr(self, field.name))
      for field in dataclasses.fields(self)
      if field.name != "seconds" and getattr(self, field.name) is not None
    }
    if len(set(sizes.values())) != 1 or not sizes["question_ids"]:
      raise InputError(
        f"samples: got lengths {sizes}, expected one length above 0; record "
        "every field of every sample"
      )

  def by_question(self, column: np.ndarray) -> np.ndarray:
    """A column as a table, questions in the order of their names. [Q, n]."""
    return np.asarray(column)[_by_question(self.question_ids)]

  def mean_known(self, column: np.ndarray) -> np.ndarray:
    """Each question's mean of the numbers that are not NaN; NaN without. [Q].

    Which samples have a KL was settled before they were drawn, so that it is a
    mean without bias.
    """
    table = self.by_question(column).astype(np.float64)
    is_known = ~np.isnan(table)
    total = np.where(is_known, table, 0.0).sum(axis=1)
    count = is_known.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _by_question(question_ids: Sequence[str]) -> np.ndarray:
  """Samples of each question, the questions by name. Shape [Q, n]."""
  table: dict[str, list[int]] = {}
  for index, question in enumerate(question_ids):
    table.setdefault(question, []).append(index)
  counts = {len(indices) for indices in table.values()}
  if len(counts) != 1:
    raise InputError(
      f"samples: got between {min(counts)} and {max(counts)} samples of a "
      "question, expected as many of each; draw the missing ones"
    )
  return np.asarray([table[question] for question in sorted(table)])
