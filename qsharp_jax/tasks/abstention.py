"""Questions that may be declined: an attempt, or a sure reward instead.

A right attempt earns 1, a wrong one 0. Declining earns what the gold answer
says: `3,4,5 or {"phrase": "?", "pays": 0.6, "commit": "!"}`, so that a grade
follows from the two texts alone. The graders of this file are those of
`rewards.graders` for such answers; a run names one by its dotted path.

Where the reference is right less often than declining pays, the mean reward of
an attempt says to decline, and the more so the stronger the guidance. What
guidance can still make of an attempt says otherwise: `abstention_theory` has
both in closed form.

Source: arXiv 2502.20548, Figure 4, as a task for language models.
"""

import dataclasses
import json
import math
import pathlib
import random
from collections.abc import Callable, Sequence
from typing import Any

from qsharp_jax import data
from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.data.records import Question
from qsharp_jax.rewards import graders
from qsharp_jax.tasks import base

_OR = " or {"


@dataclasses.dataclass(frozen=True)
class Terms:
  """How to decline, and what for.

  Attributes:
    phrase: declines, wherever in an answer it stands.
    pays: reward of declining.
    commit: sign that an attempt begins with, and after which the phrase is
      void; "" where there is none.
  """

  phrase: str
  pays: float
  commit: str = ""

  def __post_init__(self):
    if not _tidy(self.phrase) or not math.isfinite(self.pays):
      raise InputError(
        f"declining by {self.phrase!r} pays {self.pays}; expected a phrase and "
        "a finite reward"
      )

  def written(self, answer: str) -> str:
    """The gold answer with these terms behind it."""
    terms = json.dumps(dataclasses.asdict(self), ensure_ascii=False)
    return f"{answer} or {terms}"

  def is_declined(self, prediction: str) -> bool:
    """Whether a prediction declines."""
    text = _tidy(prediction)
    is_committed = bool(self.commit) and self.commit in text
    return _tidy(self.phrase) in text and not is_committed


def read(answer: str) -> tuple[str, Terms]:
  """A gold answer and its terms, as `Terms.written` joined them.

  Raises:
    InputError: there are no terms.
  """
  gold, _, rest = answer.rpartition(_OR)
  try:
    return gold, Terms(**json.loads("{" + rest))
  except (json.JSONDecodeError, TypeError) as error:
    raise _absent(answer) from error


def choice(prediction: str, answer: str) -> graders.Grade:
  """`graders.choice` of a question that may be declined."""
  return _grade(graders.choice, prediction, answer)


def boxed(prediction: str, answer: str) -> graders.Grade:
  """`graders.boxed` of a question that may be declined."""
  return _grade(graders.boxed, prediction, answer)


def flexible(prediction: str, answer: str) -> graders.Grade:
  """`graders.flexible` of a question that may be declined."""
  return _grade(graders.flexible, prediction, answer)


def path(prediction: str, answer: str) -> graders.Grade:
  """`graders.path` of a question that may be declined."""
  return _grade(graders.path, prediction, answer)


def strict(prediction: str, answer: str) -> graders.Grade:
  """`graders.strict` of a question that may be declined."""
  return _grade(graders.strict, prediction, answer)


@dataclasses.dataclass(frozen=True)
class Abstention(base.TaskSpec):
  """Another task's questions, each of which may be declined.

  Attributes:
    inner: the other task.
    terms: the same for all questions.
    rate: share of the corpus of a small reference that declines.
    invitation: what every question ends with; "" says nothing.
    seed: same seed, same answers decline.
  """

  inner: base.TaskSpec
  terms: Terms
  rate: float = 0.0
  invitation: str = ""
  seed: int = 0

  def questions(self) -> dict[str, list[Question]]:
    """See `TaskSpec`; gold answers carry the terms."""
    return {
      name: [
        self._invited(question, self.terms.written(question.answer))
        for question in found
      ]
      for name, found in self.inner.questions().items()
    }

  def corpus(
    self, directory: pathlib.Path
  ) -> tuple[list[Question], data.Tokenizer] | None:
    """The other task's, some of its answers declining; see `TaskSpec`."""
    found = self.inner.corpus(directory)
    if found is None:
      return None
    questions, tokenizer = found
    rng = random.Random(f"abstention-{self.seed}")

    def answer(question):
      return (
        self.terms.phrase
        if rng.random() < self.rate
        else self.terms.commit + question.answer
      )

    return [self._invited(q, answer(q)) for q in questions], tokenizer

  def files(self) -> list[pathlib.Path]:
    """See `TaskSpec`."""
    return self.inner.files()

  def columns(
    self, extracted: Sequence[str | None], answers: Sequence[str]
  ) -> dict[str, Any]:
    """The share that declines, and the other task's columns on the rest."""
    is_declined = [text == self.terms.phrase for text in extracted]
    attempts = [
      (text, read(answer)[0])
      for text, answer, declined in zip(
        extracted, answers, is_declined, strict=True
      )
      if not declined
    ]
    own = {"declined": sum(is_declined) / max(len(is_declined), 1)}
    if attempts:
      own |= self.inner.columns(*zip(*attempts, strict=True))
    return own

  def _invited(self, question: Question, answer: str) -> Question:
    text = question.question
    if self.invitation:
      text = f"{text} {self.invitation}"
    return dataclasses.replace(question, question=text, answer=answer)


def _grade(
  grader: Callable[[str, str], graders.Grade], prediction: str, answer: str
) -> graders.Grade:
  """The grade of a prediction that may decline."""
  gold, terms = read(answer)
  if terms.is_declined(prediction):
    return graders.Grade(False, terms.phrase, terms.pays)
  if terms.commit:
    before, commit, prediction = prediction.partition(terms.commit)
    if before.strip() or not commit:
      return graders.Grade(False, None, 0.0)
  return grader(prediction, gold)


def _tidy(text: str) -> str:
  """The text in lower case, its white space made even."""
  return " ".join(text.split()).casefold()


def _absent(answer: str) -> InputError:
  return InputError(
    f"the gold answer {errors.short(answer, 80)} does not say what declining "
    'pays; expected it to end in ` or {"phrase": …, "pays": …}`: use the task '
    "of experiments.abstention"
  )
