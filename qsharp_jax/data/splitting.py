"""Train and validation sets that share no question."""

import hashlib
from collections.abc import Iterable

from qsharp_jax.core.errors import InputError
from qsharp_jax.data.sources import Question


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


def _unit(text: str, seed: int) -> float:
  """A number in [0, 1), the same on every machine."""
  digest = hashlib.sha256(f"{seed}:{text}".encode()).digest()
  # 53 bits: more would round up to 1.0.
  return (int.from_bytes(digest[:8], "big") >> 11) / 2**53
