"""What a task gives to a run: its questions, and what only it can know."""

import pathlib
from collections.abc import Sequence
from typing import Any, Protocol

from qsharp_jax.core import places
from qsharp_jax.data.records import Question
from qsharp_jax.data.tokenizer import Tokenizer


class TaskSpec(Protocol):
  """A task; the classes in this room are frozen dataclasses of this form.

  How a question becomes a prompt and which grader judges the answer depend on
  the model as well, so a run chooses them (`data.prompts`, `rewards.registry`).
  """

  def questions(self) -> dict[str, list[Question]]:
    """Questions under "train" and "test", none of them under both."""
    ...

  def corpus(
    self, directory: pathlib.Path
  ) -> tuple[list[Question], Tokenizer] | None:
    """What a small reference learns from; None if nothing small can learn it.

    Args:
      directory: where the tokenizer is written.
    """
    return None

  def files(self) -> list[places.Path]:
    """Files that the corpus is made from; none where it is drawn."""
    return []

  def columns(
    self, extracted: Sequence[str | None], answers: Sequence[str]
  ) -> dict[str, Any]:
    """Columns of the report that only this task has.

    Args:
      extracted: what the grader cut out of one method's completions.
      answers: the gold answer of each.
    """
    del extracted, answers
    return {}
