"""Train, validation and test sets that share no question."""

import hashlib
from collections.abc import Iterable, Sequence

from qsharp_jax.core.errors import InputError
from qsharp_jax.data.records import Question


def by_question(
  questions: Iterable[Question], *, validation: float, seed: int
) -> tuple[list[Question], list[Question]]:
  """Splits by a hash of the question's text.

  A question's side depends on its text and the seed alone: not on its place,
  on the other questions, or on how often it occurs.

  Args:
    questions: to split.
    validation: expected share of the validation set, 0..1.
    seed: another seed, another split.

  Returns:
    (train, validation), each in the given order. For few questions either may
    be empty.

  Raises:
    InputError: a share outside 0..1.
  """
  if not 0.0 <= validation <= 1.0:
    raise InputError(f"validation is {validation}, expected a share in 0..1")
  train, held_out = [], []
  for question in questions:
    is_held_out = _unit(question.question, seed) < validation
    (held_out if is_held_out else train).append(question)
  return train, held_out


def without(
  questions: Iterable[Question], others: Iterable[Question]
) -> list[Question]:
  """The questions whose text is not the text of one of the others."""
  texts = {other.question for other in others}
  return [one for one in questions if one.question not in texts]


def in_three(
  train: Sequence[Question],
  test: Sequence[Question],
  *,
  num_train: int,
  num_validation: int,
  num_test: int,
  seed: int,
) -> dict[str, list[Question]]:
  """Takes the validation questions out of training, then keeps the first ones.

  Args:
    train: to learn from and to validate on.
    test: shares no question with `train`.
    num_train: how many at most; 0 is all.
    num_validation: about how many.
    num_test: how many at most; 0 is all.
    seed: another seed, another split.

  Returns:
    Questions under "train", "validation" and "test".

  Raises:
    InputError: no question for one of the three.
  """
  share = min(1.0, num_validation / max(1, len(train)))
  learnt, validation = by_question(train, validation=share, seed=seed)
  splits = {
    "train": learnt[: num_train or None],
    "validation": validation,
    "test": list(test[: num_test or None]),
  }
  if not all(splits.values()):
    counts = ", ".join(f"{len(v)} for {k}" for k, v in splits.items())
    raise InputError(
      f"found these numbers of questions: {counts}; expected at least one for "
      "each, with validation taken from train, and train without the questions "
      "of test: change data.source or data.num_*"
    )
  return splits


def _unit(text: str, seed: int) -> float:
  """A number in [0, 1), the same on every machine."""
  digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
  # 53 bits: more would round up to 1.0.
  return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
