"""Values of a second reward, from the rollouts that the run has anyway.

A rollout is what the reference does from the switch on, whatever rewards it:
so its text graded by another reward is a label for values of that reward.
"""

import dataclasses
import functools
import json
from collections.abc import Sequence

import numpy as np

from qsharp_jax import generate, models, rollout, training
from qsharp_jax.core import files, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import guided
from qsharp_jax.ops import distributions
from qsharp_jax.pipeline import (
  methods,
  support,
  training_bindings,
  values,
)
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.sharding import processes
from qsharp_jax.training import fit as fit_lib

_SUPPORT = "support.json"


def train(run: run_lib.Run, reward: rollout.grading.Reward) -> places.Path:
  """Fits values to the rollouts of all rounds, graded by another reward."""
  directory = run.paths.second_values
  with run.workdir.stages([training_bindings.train_second(run, reward)]) as due:
    if due:
      found = _graded(run, reward)
      critic = _critic(run, found)
      if processes.is_main():
        content = {"atoms": list(critic.atoms or ())}
        files.replace(directory / _SUPPORT, json.dumps(content) + "\n")
      own = dataclasses.replace(
        run, players=dataclasses.replace(run.players, critic=critic)
      )
      values.fit_values(own, found, directory)
  fit_lib.forget(directory)
  return directory


def front(
  run: run_lib.Run,
  reward: rollout.grading.Reward,
  guidance: generate.Guidance,
  *,
  eta: float,
  weights: Sequence[tuple[float, float]],
) -> dict[str, methods.Method]:
  """Guidance by both values, one method for each pair of weights.

  All of them are one program: the weights are numbers of the rows.

  Args:
    run: whose own values are the first.
    reward: the second.
    guidance: by the run's own values.
    eta: KL weight, in units of the weighted sum.
    weights: of both rewards, >= 0, not both 0.

  Raises:
    InputError: other weights.
  """
  for pair in weights:
    if len(pair) != 2 or not (min(pair) >= 0 and sum(pair) > 0):
      raise InputError(
        f"the weights of the front have {tuple(pair)}; expected two numbers of "
        "at least 0, not both 0"
      )
  value = run.players.policy.value
  policy = dataclasses.replace(
    run.players.policy,
    value=models.Several(((value.config, value.head),) * 2),
    guidance=guided.mixture((guidance, guidance)),
  )

  def sampler(pair: tuple[float, float]) -> rollout.Sampler:
    directory = train(run, reward)
    found = files.read_json_object(directory / _SUPPORT)
    atoms = tuple(found["atoms"]) or None
    members = (guidance, dataclasses.replace(guidance, atoms=atoms))
    own = dataclasses.replace(policy, guidance=guided.mixture(members))
    params = [
      run.values(run.rounds.num_rounds), run.load(directory / "value")
    ]  # fmt: skip
    both = {f"members_{i}": x["params"] for i, x in enumerate(params)}
    sampled = run.sampler_of(own, {"value": {"params": both}})

    def ask(complete, requests, *part):
      weighted = [dataclasses.replace(r, weights=pair) for r in requests]
      return complete(weighted, *part)

    part = sampled.complete_part
    return dataclasses.replace(
      sampled,
      complete=functools.partial(ask, sampled.complete),
      complete_part=part and functools.partial(ask, part),
    )

  made = {}
  for pair in weights:
    pair = tuple(float(w) for w in pair)
    made[f"front_{pair[0]:g}_{pair[1]:g}"] = methods.Method(
      lambda _, pair=pair: sampler(pair),
      (eta,),
      prepare=lambda: train(run, reward),
      guidance=guidance,
      settings={"weights": list(pair), "the second reward": reward.identity},
      needs=methods.needs(policy),
      is_lazy=run.is_lazy(policy),
    )
  return made


def _graded(
  run: run_lib.Run, reward: rollout.grading.Reward
) -> rollout.Rollouts:
  """The rollouts of all rounds with the other reward's labels."""
  found = rollout.Rollouts.concatenate(
    [
      rollout.store.read(run.paths.rollouts(i + 1))
      for i in range(run.rounds.num_rounds)
    ]
  )
  columns = zip(found.answer, found.split, found.question, strict=True)
  asked = [rollout.Problem("", (), *strings) for strings in columns]
  grades = rollout.grading.grade_texts(reward.grade, found.text.tolist(), asked)
  grades = processes.agree(
    "grades by the second reward", [(g.reward, g.error) for g in grades]
  )
  return dataclasses.replace(
    found,
    label=np.array([label for label, _ in grades], np.float64),
    error=np.array([error for _, error in grades], object),
  )


def _critic(run: run_lib.Run, found: rollout.Rollouts) -> training.Critic:
  """The run's value model with atoms over the range of the labels."""
  critic = run.players.critic
  if critic.loss != "categorical":
    return critic
  labels = found.label[found.is_graded]
  if not labels.size:
    raise InputError("the second reward graded no rollout: check it")
  low, high = support.rounded(float(labels.min()), float(labels.max()))
  atoms = distributions.support(low, high, critic.model.head.num_atoms)
  return dataclasses.replace(critic, atoms=tuple(atoms.tolist()))
