"""Tasks whose questions are read: from files, from the Hub, from TFDS."""

import dataclasses

from qsharp_jax import data
from qsharp_jax.data.records import Question
from qsharp_jax.tasks import base, competition_math, quality


@dataclasses.dataclass(frozen=True)
class Reading(base.TaskSpec):
  """Questions of a source.

  Attributes:
    source: as for `data.sources.load`; `math:`, `aime:` or
      `quality:` before it says how its rows look.
    test_source: of the test questions; "" is the same source.
    question_key: field of the problem's text.
    answer_key: field of the gold answer.
  """

  source: str
  test_source: str = ""
  question_key: str = "question"
  answer_key: str = "answer"

  def questions(self) -> dict[str, list[Question]]:
    """See `TaskSpec`.

    Raises:
      InputError: whatever the source finds wrong.
    """
    test = self.tests()
    # A file without splits, too, must not be tested on what it is trained on.
    train = data.splitting.without(self._load(self.source, "train"), test)
    return {"train": train, "test": test}

  def tests(self) -> list[Question]:
    """The test questions alone."""
    return self._load(self.test_source or self.source, "test")

  def _load(self, source: str, split: str) -> list[Question]:
    keys = {"question_key": self.question_key, "answer_key": self.answer_key}
    parsers = {
      "math": competition_math.problem(**keys),
      "aime": competition_math.aime(**keys),
      "quality": quality.multiple_choice,
    }
    kind, _, rest = source.partition(":")
    if kind in parsers:
      return data.sources.load(rest, split=split, parse=parsers[kind])
    return data.sources.load(source, split=split, **keys)
