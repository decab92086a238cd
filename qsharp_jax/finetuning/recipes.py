"""From hyper-parameters to what is minimised, over what, from where."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from absl import logging

from qsharp_jax import data, models, rollout, training
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import credit, on_policy, preferences, tuning
from qsharp_jax.finetuning import objectives as policy_objectives
from qsharp_jax.ops import policy_gradient
from qsharp_jax.ops import preferences as preference_ops
from qsharp_jax.pipeline import algorithm1
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.training import fit as fit_lib
from qsharp_jax.training import objectives


class Recipe(NamedTuple):
  """What `fit_lib.fit` needs."""

  objective: objectives.Objective
  params: PyTree
  batches: fit_lib.Batches


@dataclasses.dataclass(frozen=True)
class Job:
  """A method to train in a run."""

  run: run_lib.Run
  reference: str  # directory or hub id that training starts from
  directory: pathlib.Path
  gold: preferences.Gold | None = None
  dpo: pathlib.Path | None = None  # for RTO, a DPO policy

  @property
  def model(self) -> models.LanguageModel:
    """The policy, which has the reference's shape."""
    return self.run.players.policy.reference

  def load(self, path: str | pathlib.Path) -> PyTree:
    """A policy's parameters in float32, placed for training."""
    shardings = self.run.layout.for_training(self.model)
    return huggingface.load_language_model(path, shardings=shardings)[1]

  def rollouts(self) -> rollout.Rollouts:
    """The reference's samples of the training questions, in round 1."""
    found = algorithm1.rollouts(self.run, 1)
    return found.take(found.split == "train")


@functools.singledispatch
def recipe(how: tuning.How, job: Job) -> Recipe:
  """What to train for hyper-parameters of some kind.

  Raises:
    InputError: the rollouts have nothing to teach.
  """
  raise NotImplementedError(type(how))


@recipe.register
def _(how: tuning.Supervised, job: Job) -> Recipe:
  right = [r for r in job.rollouts() if r.correct]
  if not right:
    raise InputError(
      "no sample of round 1 is right, so there is nothing to fine-tune on: "
      "take easier questions, more samples, or check the reward"
    )
  rows = data.packing.pack(
    [preferences.sequence(r.prompt, r.tokens) for r in right],
    length=how.fit.max_length,
  )
  return Recipe(
    training.objectives.language_model(job.model),
    job.load(job.reference),
    fit_lib.Epochs(rows, how.fit),
  )


@recipe.register
def _(how: tuning.Preference, job: Job) -> Recipe:
  params = job.load(job.reference)
  rows = preferences.scored(
    job.model,
    params,
    data.packing.pack_pairs(_pairs(how, job), length=how.fit.max_length),
    batch_size=how.fit.batch_size,
    layout=job.run.layout,
  )
  return Recipe(
    policy_objectives.preference(job.model, _pair_loss(how)),
    params,
    fit_lib.Epochs(rows, how.fit),
  )


@recipe.register
def _(how: tuning.Reinforce, job: Job) -> Recipe:
  return Recipe(
    policy_objectives.reinforce(job.model),
    job.load(job.reference),
    on_policy.Collector(
      job.run,
      job.model,
      job.run.task.train,
      how,
      credit.reinforce(eta=how.eta, baseline=how.baseline),
      job.directory,
    ),
  )


@recipe.register
def _(how: tuning.AStarPO, job: Job) -> Recipe:
  values = optimal_values(job.rollouts(), eta=how.value_eta)
  return Recipe(
    policy_objectives.a_star_po(job.model, eta=how.eta),
    job.load(job.reference),
    on_policy.Collector(
      job.run,
      job.model,
      [p for p in job.run.task.train if p.id in values],
      how,
      credit.a_star_po(values),
      job.directory,
    ),
  )


@recipe.register
def _(how: tuning.PPO, job: Job) -> Recipe:
  layout = job.run.layout
  critic = models.ValueModel(job.model.config, models.HeadConfig("v", 1))
  *_, critic_params = huggingface.load_value_model(
    job.reference, head=critic.head, shardings=layout.for_training(critic)
  )
  credits = credit.actor_critic(
    critic,
    layout,
    eta=how.eta,
    discount=how.discount,
    decay=how.decay,
    batch_size=how.fit.batch_size,
    dense=_dense(how, job) if isinstance(how, tuning.RTO) else None,
  )
  return Recipe(
    policy_objectives.ppo(
      job.model,
      critic,
      clip=how.clip,
      value_clip=how.value_clip,
      value_weight=how.value_weight,
    ),
    {"policy": job.load(job.reference), "critic": critic_params},
    on_policy.Collector(
      job.run, job.model, job.run.task.train, how, credits, job.directory
    ),
  )


def optimal_values(
  rollouts: rollout.Rollouts, *, eta: float
) -> Mapping[str, float]:
  """Soft value of each question that has a graded sample, by its id.

  Raises:
    InputError: there is none.
  """
  rewards = {
    question: np.array([r.label for r in own], np.float32)
    for question, own in preferences.by_question(rollouts).items()
  }
  if not rewards:
    raise InputError(
      "no sample of round 1 has a reward, so no question has an optimal value: "
      "collect round 1 first, or check the reward"
    )
  most = max(map(len, rewards.values()))
  stack = lambda columns, dtype: np.array(
    [np.pad(c, (0, most - len(c))) for c in columns], dtype
  ).reshape(-1, most)
  values = policy_gradient.soft_value(
    stack(rewards.values(), np.float32),
    stack([np.ones(len(r), bool) for r in rewards.values()], bool),
    eta=eta,
  )
  return dict(zip(rewards, np.asarray(values).tolist(), strict=True))


def _pairs(how: tuning.Preference, job: Job) -> list[data.packing.Pair]:
  rollouts = job.rollouts()
  if job.gold is None:
    found = preferences.pairs(rollouts, per_question=how.pairs_per_question)
  else:
    found = preferences.gold_pairs(
      rollouts,
      job.run.task.train,
      job.gold,
      per_question=how.pairs_per_question,
    )
  if not found:
    raise InputError(
      "no question has samples with different rewards, so there are no "
      "preference pairs: take easier or harder questions, more samples, or "
      "check the reward"
    )
  logging.info("%d preference pairs of %d samples", len(found), len(rollouts))
  return found


def _pair_loss(how: tuning.Preference) -> policy_objectives.PairLoss:
  if how.loss == "rpo":
    return functools.partial(preference_ops.rpo, eta=how.eta, alpha=how.alpha)
  if how.loss == "cpl":
    return lambda chosen, rejected, *_: preference_ops.cpl(
      chosen, rejected, eta=how.eta, bias=how.bias
    )
  return lambda *sums: preference_ops.dpo(*sums[:4], eta=how.eta)


def _dense(how: tuning.RTO, job: Job) -> tuple[credit.DenseRewards, PyTree]:
  """Token rewards of the DPO policy, and that policy's parameters."""

  def rewards(
    params: PyTree, batch: objectives.Batch, at_last: Array, ref: Array
  ) -> Array:
    found = policy_objectives.token_log_probs(job.model, params, batch)
    return policy_gradient.rto(
      at_last, found, ref, dpo_eta=how.dpo.eta, weight=how.weight
    )

  return rewards, job.load(job.dpo)
