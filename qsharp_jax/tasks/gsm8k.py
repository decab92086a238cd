"""GSM8K for a model too small for it: word problems in the same format."""

import dataclasses
import pathlib

from qsharp_jax import data
from qsharp_jax.core import seeds
from qsharp_jax.data.records import Question
from qsharp_jax.tasks import base, reading
from qsharp_jax.tasks.word_problems import WordProblems


@dataclasses.dataclass(frozen=True)
class TinyGsm8k(base.TaskSpec):
  """Generated word problems, and a reference that sometimes gets them wrong.

  Attributes:
    problems: the family of word problems.
    num_train: training questions, validation included.
    num_test: test questions.
    num_corpus: problems that the reference learns from.
    mistake_rate: chance of a mistake in a step of those.
    vocab_size: of the tokenizer that is trained on them.
    seed: same seed, same problems.
    read: asks these questions in place of generated ones.
  """

  problems: WordProblems
  num_train: int
  num_test: int
  num_corpus: int
  mistake_rate: float
  vocab_size: int
  seed: int = 0
  read: reading.Reading | None = None

  def questions(self) -> dict[str, list[Question]]:
    """See `TaskSpec`."""
    if self.read is not None:
      return self.read.questions()
    test = self._tests()
    train = self.problems.generate(
      self.num_train,
      seed=seeds.stable_seed(self.seed, "train"),
      exclude={question.question for question in test},
    )
    return {"train": train, "test": test}

  def corpus(
    self, directory: pathlib.Path
  ) -> tuple[list[Question], data.Tokenizer]:
    """Worked problems with a mistake now and then; see `TaskSpec`."""
    tests = {question.question for question in self._tests()}
    worked = self.problems.generate(
      self.num_corpus,
      seed=seeds.stable_seed(self.seed, "corpus"),
      exclude=tests,
      mistake_rate=self.mistake_rate,
    )
    return worked, data.new_tokenizers.train_byte_level_bpe(
      [f"Question: {q.question}\nAnswer:\n{q.answer}" for q in worked],
      vocab_size=self.vocab_size,
      directory=directory,
    )

  def _tests(self) -> list[Question]:
    if self.read is not None:
      return self.read.tests()
    return self.problems.generate(
      self.num_test, seed=seeds.stable_seed(self.seed, "test")
    )
