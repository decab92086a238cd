"""What the trained stages of a run are made from."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from qsharp_jax import rollout
from qsharp_jax.core import places
from qsharp_jax.pipeline import bindings, contents
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.pipeline import stage as stage_lib

_FITTED = ("checkpoints", "events")  # what a fit leaves beside its model


_RESULTLESS = ("num_microbatches", "checkpoint_every")


def train(run: run_lib.Run, round_index: int) -> stage_lib.Stage:
  """The values of a round."""
  settings = _training(run, round_index)
  settings["rounds.is_warm"] = run.rounds.is_warm and round_index > 1
  if settings["rounds.is_warm"]:
    settings |= bindings.values(run, round_index - 1)
  directory = run.paths.round(round_index)
  return _trained(f"train_{round_index}", settings, directory)


def train_outcome(run: run_lib.Run) -> stage_lib.Stage:
  """The reward model of whole answers."""
  settings = _training(run, run.rounds.num_rounds)
  return _trained("train_outcome", settings, run.paths.outcome)


def train_second(
  run: run_lib.Run, reward: rollout.grading.Reward
) -> stage_lib.Stage:
  """The values of a second reward."""
  settings = _training(run, run.rounds.num_rounds)
  del settings["value.atoms"]  # its own follow from its labels
  settings["reward"] = reward.identity
  return _trained("train_second", settings, run.paths.second_values)


def tune(
  run: run_lib.Run,
  name: str,
  settings: Any,
  *,
  first: Sequence[str] = (),
  is_on_pairs: bool = False,
) -> stage_lib.Stage:
  """A fine-tuned policy.

  Args:
    run: whose round 1 it may learn from.
    name: of the policy.
    settings: its hyper-parameters, a dataclass.
    first: names of the policies that it is made from.
    is_on_pairs: it learns from the run's preferences, where there are any, and
      then from no sample and no reward.
  """
  made_from = settings_of(dataclasses.asdict(settings))
  made_from["weights of the reference"] = bindings.reference(run)
  if is_on_pairs and run.task.preferences:
    made_from["preferences"] = contents.preferences(run.task.preferences)
  else:
    made_from["the rollouts of round 1"] = run.workdir.digest("collect_1")
    made_from["reward"] = run.task.reward
  for other in first:
    made_from[other] = run.workdir.digest(_tuning(other))
  directory = run.paths.baseline(name)
  return stage_lib.Stage(
    _tuning(name),
    settings=made_from,
    # Not the directory: a policy that comes first may be inside.
    outputs=[directory / x for x in ("model", "metrics.json", *_FITTED)],
    is_whole=(directory / "model" / "config.json").exists,
  )


def settings_of(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """Nested settings by dotted names, without those that change no result."""
  flat = {}
  for key, value in tree.items():
    if isinstance(value, Mapping):
      flat |= settings_of(value, f"{prefix}{key}.")
    elif key not in _RESULTLESS:
      flat[prefix + key] = value
  return flat


def _tuning(name: str) -> str:
  """Stage of a fine-tuned policy, which may be named inside another's."""
  return f"baseline_{name.replace('/', '_')}"


def _training(run: run_lib.Run, num_rounds: int) -> dict[str, Any]:
  """What all training of values depends on."""
  critic = run.players.critic
  found = settings_of({"fit": dataclasses.asdict(run.fit)}) | {
    "value.start": run.workdir.weights(run.players.start),
    "value.loss": critic.loss,
    "value.atoms": critic.atoms and list(critic.atoms),
    "value.head": critic.model.head.kind,
    "value.num_atoms": critic.model.head.num_atoms,
    "value.predicting_layers": critic.model.head.predicting_layers,
    "value.q_head": run.players.q_head,
    "reward": run.task.reward,
  }
  for index in range(1, num_rounds + 1):
    found[f"the rollouts of round {index}"] = run.workdir.digest(
      f"collect_{index}"
    )
  return found


def _trained(
  name: str, settings: Mapping[str, Any], directory: places.Path
) -> stage_lib.Stage:
  outputs = ("value", "value_metrics.json", *_FITTED)
  return stage_lib.Stage(
    name,
    settings=settings,
    outputs=[directory / output for output in outputs],
    is_whole=(directory / "value").exists,
  )
