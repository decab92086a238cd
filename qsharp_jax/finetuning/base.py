"""What all fine-tuned policies have in common: how they are trained and saved.

One trainer, `fit_lib.fit`; a method is its `Settings`, whose `recipe` says what
is minimised, from which parameters, over which batches. Offline methods learn
from the rollouts of round 1.
"""

import abc
import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple, Self

import jax.numpy as jnp
from flax import linen as nn

from qsharp_jax import models, rollout
from qsharp_jax.checkpoint import huggingface, saving
from qsharp_jax.core import places
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.pipeline import training_bindings, values
from qsharp_jax.sharding import processes
from qsharp_jax.training import fit as fit_lib
from qsharp_jax.training import objectives

# A problem's gold answer in tokens, the end token included.
Gold = Callable[[rollout.Problem], Sequence[int]]


class Recipe(NamedTuple):
  """What `fit_lib.fit` needs."""

  objective: objectives.Objective
  params: PyTree
  batches: fit_lib.Batches


@dataclasses.dataclass(frozen=True)
class Job:
  """A policy to train in a run."""

  run: run_lib.Run
  directory: places.Path
  gold: Gold | None = None
  trained: Mapping[str, places.Path] = dataclasses.field(
    default_factory=dict
  )  # directories of the policies in `Settings.first`

  @property
  def reference(self) -> str:
    """Directory or hub id that training starts from."""
    return self.run.players.reference

  @property
  def model(self) -> models.LanguageModel:
    """The policy, which has the reference's shape."""
    return self.run.players.policy.reference

  def load(self, path: str | os.PathLike) -> PyTree:
    """A policy's parameters in float32, placed for training."""
    shardings = self.run.layout.for_training(self.model)
    return huggingface.load_language_model(path, shardings=shardings)[1]

  def grade(
    self,
    what: str,
    problems: Sequence[rollout.Problem],
    answers: Sequence[Sequence[int]],
  ) -> tuple[list[float], list[bool]]:
    """Rewards of answers, and whether they could be found.

    Graded by the main process alone, for all.

    Args:
      what: names the answers while processes wait for one another.
      problems: of each answer.
      answers: in tokens.
    """
    found = None
    if processes.is_main():
      task = self.run.task
      grades = rollout.grading.grade_texts(
        task.grade, [task.decode(list(tokens)) for tokens in answers], problems
      )
      found = [g.reward for g in grades], [g.error is None for g in grades]
    return processes.agree(what, found)

  def rollouts(self) -> rollout.Rollouts:
    """The reference's samples of the training questions, in round 1."""
    found = values.rollouts(self.run, 1)
    return found.take(found.split == "train")


@dataclasses.dataclass(frozen=True)
class Settings(abc.ABC):
  """Hyper-parameters of a method, and the method itself."""

  fit: fit_lib.Fit = fit_lib.Fit()

  @abc.abstractmethod
  def recipe(self, job: Job) -> Recipe:
    """What to train.

    Raises:
      InputError: the rollouts have nothing to teach.
    """

  answers_per_row: ClassVar[int] = 1  # that a packed row must have room for
  is_on_pairs: ClassVar[bool] = False  # of a chosen and a rejected answer

  def trained(self, model: models.LanguageModel) -> tuple[nn.Module, ...]:
    """What is trained together, where the policy has this shape."""
    return (model,)

  @property
  def first(self) -> Mapping[str, "Settings"]:
    """Policies to train before this one, by name."""
    return {}

  def policy(self, params: PyTree) -> PyTree:
    """The language model among the parameters in training."""
    return params

  def seeded(self, seed: int) -> Self:
    """The same settings with another seed of data order and sampling."""
    return dataclasses.replace(
      self, fit=dataclasses.replace(self.fit, seed=seed)
    )


def train(
  run: run_lib.Run,
  name: str,
  settings: Settings,
  *,
  gold: Gold | None = None,
  shared: Mapping[str, Settings] | None = None,
) -> places.Path:
  """Fine-tunes the reference; a second call resumes, or finds it done.

  Args:
    run: a run whose round 1 is collected.
    name: of the policy, for its stage and directory.
    settings: of the method.
    gold: gold answers, which the methods on pairs then prefer to samples.
    shared: settings of other policies of the run, by name. A policy that this
      method needs first is one of them where name and settings agree, and
      otherwise a policy of its own, in a directory inside this one.

  Returns:
    A Hugging Face directory of the policy, which can be the reference of
    another run.

  Raises:
    InputError: the rollouts have nothing to teach.
  """
  trained, stages_of_first = {}, []
  for other, needed in settings.first.items():
    is_shared = (shared or {}).get(other) == needed
    stages_of_first.append(other if is_shared else f"{name}/{other}")
    trained[other] = train(
      run,
      stages_of_first[-1],
      needed,
      gold=gold,
      shared=shared,
    )
  job = Job(run, run.paths.baseline(name), gold, trained)
  model = job.directory / "model"
  stage = training_bindings.tune(
    run,
    name,
    settings,
    first=stages_of_first,
    is_on_pairs=settings.is_on_pairs,
  )
  with run.workdir.stages([stage]) as due:
    if due:
      objective, params, batches = settings.recipe(job)
      params = fit_lib.fit(
        objective, params, batches, settings.fit, run.layout, job.directory
      )
      _save(job, settings.policy(params), model)
  fit_lib.forget(job.directory)
  return model


def _save(job: Job, params: PyTree, model: places.Path) -> None:
  """Writes a policy, with everything but the weights from the reference."""
  raw = huggingface.read_config(job.reference)
  saving.save_language_model(
    model,
    job.model.config,
    params,
    raw["model_type"],
    token_ids=huggingface.token_ids(job.reference),
  )
  huggingface.copy_tokenizer(job.reference, model)


def by_question(
  rollouts: Iterable[rollout.Rollout],
) -> Mapping[str, list[rollout.Rollout]]:
  """Graded samples by the id of their question."""
  found: dict[str, list[rollout.Rollout]] = {}
  for sample in rollouts:
    if sample.error is None:
      found.setdefault(sample.question_id, []).append(sample)
  return found


def token_log_probs(
  model: models.LanguageModel, params: PyTree, batch: objectives.Batch
) -> Array:
  """Log-probability of each token given those before it in its sequence.

  Args:
    model: the language model.
    params: its parameters.
    batch: `tokens`, `positions` and `segments`, each [B, T].

  Returns:
    Nats, float32; 0 for first tokens and padding. Shape [B, T].
  """
  log_probs = -objectives.next_token_losses(model, params, batch)
  log_probs = jnp.pad(log_probs, ((0, 0), (1, 0)))
  return jnp.where(batch["positions"] > 0, log_probs, 0.0)
