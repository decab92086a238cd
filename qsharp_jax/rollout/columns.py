"""Rollouts as columns; a row is a view of them."""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from qsharp_jax.data.ragged import Ragged


@dataclasses.dataclass(frozen=True, eq=False)  # arrays do not compare to a bool
class Rollout:
  """One scored sample."""

  question_id: str
  sample: int
  seed: int
  eta: float | None  # of the policy that sampled it; None: the reference
  prompt: Sequence[int]  # token ids
  tokens: Sequence[int]  # completion, the end token included
  first_label: int  # from this completion token on, `label` is a target
  ended: bool
  text: str
  extracted: str | None
  correct: bool | None  # None: the reward gives no verdict
  label: float  # reward-to-go, in reward units
  error: str | None  # what went wrong in the reward, if anything
  # Nats, summed over the response, before top-p; None: it was drawn lazily.
  kl: float | None
  kl_filtered: float | None  # nats, after top-p
  forwards: int  # passes of any model over one row, see `generate.Completion`
  seconds: float  # its share of the wall-clock time of sampling its batch
  answer: str = ""  # gold
  split: str = ""  # of its question: train, validation or test
  question: str = ""  # its text
  value: float | None = None  # mean reward by a value model; None: not judged


@dataclasses.dataclass(frozen=True, eq=False)
class Rollouts:
  """Many scored samples, a column for each field of `Rollout`.

  What is None in a row is NaN in a column of numbers and None in a column of
  strings. Columns of strings are object arrays; rows share their strings.

  Iterating, or indexing by a number, gives rows, whose tokens are views.
  """

  question_id: np.ndarray  # [S], str
  sample: np.ndarray  # [S], int32
  seed: np.ndarray  # [S], uint32
  eta: np.ndarray  # [S], float64; NaN: the reference
  prompt: Ragged  # [S], int32
  tokens: Ragged  # [S], int32
  first_label: np.ndarray  # [S], int32
  ended: np.ndarray  # [S], bool
  text: np.ndarray  # [S], str; "" where texts were not read
  extracted: np.ndarray  # [S], str or None
  correct: np.ndarray  # [S], float64 in {0, 1}; NaN: no verdict
  label: np.ndarray  # [S], float64
  error: np.ndarray  # [S], str or None
  kl: np.ndarray  # [S], float64; NaN: not known
  kl_filtered: np.ndarray  # [S], float64
  forwards: np.ndarray  # [S], int64
  seconds: np.ndarray  # [S], float64
  answer: np.ndarray  # [S], str
  split: np.ndarray  # [S], str
  question: np.ndarray  # [S], str; "" where texts were not read
  value: np.ndarray  # [S], float64; NaN: not judged

  @classmethod
  def of(cls, rows: Iterable[Rollout]) -> "Rollouts":
    """The columns of some rows."""
    rows = list(rows)
    columns = {}
    for name, dtype in DTYPES.items():
      cells = [getattr(row, name) for row in rows]
      if dtype is Ragged:
        columns[name] = Ragged.of(cells)
      else:  # a None becomes NaN where numbers are wanted
        columns[name] = np.array(cells, dtype).reshape(len(rows))
    return cls(**columns)

  @classmethod
  def typed(cls, **columns: np.ndarray | Ragged) -> "Rollouts":
    """Columns by name, each turned into its own type; None is NaN."""
    return cls(
      **{
        name: columns[name]
        if dtype is Ragged
        else np.asarray(columns[name]).astype(dtype)
        for name, dtype in DTYPES.items()
      }
    )

  @classmethod
  def concatenate(cls, parts: Sequence["Rollouts"]) -> "Rollouts":
    """All rows of all parts, in their order."""
    if not parts:
      return cls.of([])
    return cls(
      **{
        name: (Ragged if dtype is Ragged else np).concatenate(
          [getattr(part, name) for part in parts]
        )
        for name, dtype in DTYPES.items()
      }
    )

  def take(self, chosen: np.ndarray) -> "Rollouts":
    """The rows at some indices, or where a mask is true; no token is copied."""
    chosen = np.asarray(chosen)
    if not chosen.size:  # an empty list is one of floats
      chosen = chosen.astype(int)
    columns = self.columns().items()
    return Rollouts(
      **{
        name: column.take(chosen) if DTYPES[name] is Ragged else column[chosen]
        for name, column in columns
      }
    )

  def columns(self) -> dict[str, np.ndarray | Ragged]:
    """All columns by name, in the order of the fields."""
    return {name: getattr(self, name) for name in DTYPES}

  @property
  def lengths(self) -> np.ndarray:
    """Tokens of each completion, int64. Shape [S]."""
    return self.tokens.lengths

  @property
  def is_graded(self) -> np.ndarray:
    """Where the reward did not fail, bool. Shape [S]."""
    return np.array([error is None for error in self.error], bool)

  @property
  def has_verdicts(self) -> bool:
    """Whether the reward says of each sample that it is right or wrong."""
    correct = self.correct[self.is_graded]
    return bool(correct.size) and not np.isnan(correct).any()

  def questions(self) -> tuple[np.ndarray, np.ndarray]:
    """Groups the rows by question.

    Returns:
      The ids of the questions in the order in which they first appear [Q], and
      the index of each row's question among them, int64 [S].
    """
    ids, firsts, codes = np.unique(
      self.question_id, return_index=True, return_inverse=True
    )
    order = np.argsort(firsts)
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order))
    return ids[order], ranks[codes.reshape(-1)]

  def __len__(self) -> int:
    return len(self.question_id)

  def __getitem__(self, index: int) -> Rollout:
    row = {
      name: _plain(column[index]) for name, column in self.columns().items()
    }
    for name in OPTIONAL_NUMBERS:
      if np.isnan(row[name]):
        row[name] = None
    if row["correct"] is not None:
      row["correct"] = bool(row["correct"])
    return Rollout(**row)

  def __iter__(self) -> Iterator[Rollout]:
    return (self[index] for index in range(len(self)))


# Kind of every column, in the order of the fields.
DTYPES = {
  "question_id": object,
  "sample": np.int32,
  "seed": np.uint32,
  "eta": np.float64,
  "prompt": Ragged,
  "tokens": Ragged,
  "first_label": np.int32,
  "ended": np.bool_,
  "text": object,
  "extracted": object,
  "correct": np.float64,
  "label": np.float64,
  "error": object,
  "kl": np.float64,
  "kl_filtered": np.float64,
  "forwards": np.int64,
  "seconds": np.float64,
  "answer": object,
  "split": object,
  "question": object,
  "value": np.float64,
}
OPTIONAL_NUMBERS = ("eta", "correct", "kl", "kl_filtered", "value")


def _plain(cell):
  """A Python number in place of numpy's; anything else as it is."""
  return cell.item() if isinstance(cell, np.generic) else cell


def mixed_questions(rollouts: Rollouts) -> np.ndarray:
  """Where the samples of a row's question did not all get the same label.

  Returns:
    One entry a row, bool. Shape [S].
  """
  ids, codes = rollouts.questions()
  labels = rollouts.label.astype(np.float32)
  lowest = np.full(len(ids), np.inf, np.float32)
  highest = np.full(len(ids), -np.inf, np.float32)
  np.minimum.at(lowest, codes, labels)
  np.maximum.at(highest, codes, labels)
  return (lowest < highest)[codes]
