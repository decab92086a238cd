"""Reward models as a reward: questions and answers in, grades out."""

import dataclasses
import hashlib
import math
from collections.abc import Sequence

import numpy as np

from qsharp_jax import data, rewards, sharding
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import digests
from qsharp_jax.core.errors import InputError
from qsharp_jax.reward_models import names, scoring, texts
from qsharp_jax.rewards import graders, grading, registry

_FILES = ("*.safetensors", "config.json", *huggingface.TOKENIZER_FILES)


@dataclasses.dataclass(frozen=True)
class Member:
  """One model of a sum."""

  weight: float
  tokenizer: data.Tokenizer
  scorer: scoring.Scorer

  def scores(
    self, prompts: Sequence[str], predictions: Sequence[str]
  ) -> tuple[np.ndarray, dict[int, str]]:
    """Scores [S] in float64, and why some could not be found, by index."""
    sequences, errors, longest = {}, {}, self.scorer.max_length
    for i, both in enumerate(zip(prompts, predictions, strict=True)):
      try:
        ids = texts.tokens(self.tokenizer, *both)
      except InputError as error:
        errors[i] = str(error)
        continue
      if 0 < len(ids) <= longest:
        sequences[i] = ids
      else:
        errors[i] = (
          f"question and answer are {len(ids)} tokens to the reward model, "
          f"which reads 1 to {longest}"
        )
    found = np.zeros(len(prompts))
    found[list(sequences)] = self.scorer.scores(list(sequences.values()))
    return found, errors


class ModelGrader:
  """Grades by reward models; used wherever a `rewards.GradingPool` is.

  The models stay on the devices of this host, cut over all of them; with
  several hosts, each grades its own share of the samples.

  Attributes:
    traits: an unbounded, batched reward that reads the question.
    identity: digests of the models' files, with their weights in the sum.
    counts: see `rewards.GradingPool`.
  """

  traits = registry.Traits(is_batched=True, takes_prompt=True)

  def __init__(
    self,
    name: str,
    layout: sharding.Layout,
    *,
    dtype: str = "float32",
    max_failed_share: float = 1.0,
  ):
    """Reads the models.

    Args:
      name: `model:DIR`, or a sum, see `names.parse`.
      layout: of the run's devices.
      dtype: of parameters and products.
      max_failed_share: see `rewards.GradingPool`.

    Raises:
      InputError: no reward model, or one that cannot be read.
    """
    terms = names.parse(name)
    self.identity = identity(terms)
    self._failures = grading.Failures(name, max_failed_share)
    self.counts = self._failures.counts
    own = layout.of_host()
    self._members = [
      Member(
        term.weight,
        data.tokenizer.load(term.directory),
        scoring.load(term.directory, own, dtype=dtype),
      )
      for term in terms
    ]

  def device_bytes(self, length: int) -> int:
    """Bytes of each device, with the workspace of such long texts."""
    return sum(
      scoring.needed(member.scorer.model, member.scorer.layout, length)
      for member in self._members
    )

  def grade(
    self,
    predictions: list[str],
    answers: list[str],
    split: str = "",
    *,
    prompts: list[str] | None = None,
  ) -> list[rewards.Grade]:
    """Grades each completion by the question; gold answers are not read.

    A text that a model cannot read, and a score that is not finite, give a
    grade with an `error`.

    Args:
      predictions: completions.
      answers: as many.
      split: what they are samples of; failures are counted for each.
      prompts: the questions, as many.

    Returns:
      The grades, in order.

    Raises:
      InputError: no questions, or not as many; more failures than the share
        allows.
    """
    if prompts is None or not len(predictions) == len(answers) == len(prompts):
      raise InputError(
        f"got {len(predictions)} predictions, {len(answers)} answers and "
        f"{'no' if prompts is None else len(prompts)} prompts: a reward model "
        "expects as many of each"
      )
    total, errors = np.zeros(len(predictions)), {}
    for member in self._members:
      found, failed = member.scores(prompts, predictions)
      total += member.weight * found
      errors |= failed
    grades = [
      graders.failed(errors[i]) if i in errors else _grade(score)
      for i, score in enumerate(total.tolist())
    ]
    self._failures.add(grades, split)
    return grades


def identity(terms: Sequence[names.Term]) -> str:
  """What decides the scores of a sum: weights, and digests of all files."""
  return "+".join(f"{term.weight!r}*model:{_digest(term)}" for term in terms)


def _digest(term: names.Term) -> str:
  directory = huggingface.resolve(term.directory)
  files = {path for form in _FILES for path in directory.glob(form)}
  listed = [f"{path.name} {digests.of_file(path)}" for path in sorted(files)]
  return hashlib.blake2b("\n".join(listed).encode(), digest_size=8).hexdigest()


def _grade(score: float) -> rewards.Grade:
  if not math.isfinite(score):
    return graders.failed(f"the reward model's score is {score}")
  return rewards.Grade(None, None, score)
