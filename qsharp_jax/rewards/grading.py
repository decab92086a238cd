"""What grades for a run, and how many of its samples could not be graded."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

from qsharp_jax.core.errors import InputError
from qsharp_jax.rewards import registry
from qsharp_jax.rewards.graders import Grade

_FEWEST = 20  # graded samples of a split before its failed share says anything


class GradeFn(Protocol):
  """How texts are graded."""

  def __call__(
    self,
    predictions: list[str],
    answers: list[str],
    split: str = "",
    *,
    prompts: list[str] | None = None,
  ) -> list[Grade]:
    """Grades of completions by gold answers and, maybe, questions."""


class Grader(Protocol):
  """A reward at work: worker processes (`GradingPool`), or a reward model.

  Attributes:
    traits: what the reward says of itself.
    identity: its name and whatever else decides its grades, for those who
      store them.
  """

  traits: registry.Traits
  identity: str

  def device_bytes(self, length: int) -> int:
    """Bytes of each device that it keeps, and takes to grade such long texts.

    Args:
      length: of the longest question with its answer, in tokens.
    """

  @property
  def grade(self) -> GradeFn:
    """Grades texts."""


@dataclasses.dataclass
class Count:
  """How the grading of one split went.

  Attributes:
    graded: samples so far.
    failed: those of them without an honest grade.
  """

  graded: int = 0
  failed: int = 0


class Failures:
  """Counts the samples of each split that could not be graded.

  Attributes:
    counts: split to how its grading went.
  """

  def __init__(self, reward_name: str, max_failed_share: float = 1.0):
    """Starts at nothing.

    Args:
      reward_name: for the error.
      max_failed_share: the share of a split's samples, in [0, 1], that may be
        without an honest grade; 1 never stops.

    Raises:
      InputError: a share out of range.
    """
    if not 0.0 <= max_failed_share <= 1.0:
      raise InputError(
        f"max_failed_share is {max_failed_share}: expected 0 to 1"
      )
    self.counts: dict[str, Count] = {}
    self._reward_name = reward_name
    self._share = max_failed_share

  def add(self, grades: Sequence[Grade], split: str) -> None:
    """Adds to the split's count.

    Raises:
      InputError: too many of the split's samples failed.
    """
    count = self.counts.setdefault(split, Count())
    errors = [grade.error for grade in grades if grade.error is not None]
    count.graded += len(grades)
    count.failed += len(errors)
    if count.graded >= _FEWEST and count.failed > self._share * count.graded:
      raise InputError(
        f"reward {self._reward_name!r} failed for {count.failed} of "
        f"{count.graded} samples{f' of {split}' if split else ''}, more than a "
        f"share of {self._share:g}; one of them: "
        f"{errors[-1] if errors else 'in an earlier call'}"
      )
