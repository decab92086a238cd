"""The support of categorical values: given, or the range of the rewards."""

import dataclasses
import json
import math

import numpy as np
from absl import logging

from qsharp_jax import rollout
from qsharp_jax.core import files
from qsharp_jax.core.errors import InputError
from qsharp_jax.ops import distributions
from qsharp_jax.pipeline import bindings, paths
from qsharp_jax.pipeline import run as run_lib
from qsharp_jax.sharding import processes

_WIDER = 0.1  # on each side, as a share of the range of round 1


def settle(run: run_lib.Run) -> run_lib.Run:
  """The run with atoms for its values, where they are categorical.

  What round 1 has shown is written into the run, so that later rounds, a second
  call and the tools use the same.

  Args:
    run: whose round 1 is collected.

  Raises:
    InputError: no reward of round 1 was graded.
  """
  critic = run.players.critic
  if critic.loss != "categorical":
    return run
  file = run.paths.support
  with run.workdir.stages([bindings.support(run)]) as due:
    if due and processes.is_main():
      low, high = _range(run)
      files.replace(file, json.dumps({"v_min": low, "v_max": high}) + "\n")
  return with_support(run, *read(run.paths))


def read(where: paths.RunPaths) -> tuple[float, float]:
  """Least and greatest atom of a run whose support is settled."""
  found = files.read_json_object(where.support)
  return float(found["v_min"]), float(found["v_max"])


def with_support(run: run_lib.Run, low: float, high: float) -> run_lib.Run:
  """The run with evenly spaced atoms from `low` to `high`, in reward units."""
  players = run.players
  num_atoms = players.critic.model.head.num_atoms
  atoms = tuple(distributions.support(low, high, num_atoms).tolist())
  guidance = players.policy.guidance
  policy = dataclasses.replace(
    players.policy, guidance=dataclasses.replace(guidance, atoms=atoms)
  )
  critic = dataclasses.replace(players.critic, atoms=atoms)
  return dataclasses.replace(
    run, players=dataclasses.replace(players, policy=policy, critic=critic)
  )


def rounded(low: float, high: float) -> tuple[float, float]:
  """A range a little wider than [low, high], its ends round numbers."""
  width = (high - low) or max(abs(low), 1.0)
  step = 10.0 ** math.floor(math.log10(width)) / 10
  ends = (
    math.floor((low - _WIDER * width) / step) * step,
    math.ceil((high + _WIDER * width) / step) * step,
  )
  digits = max(0, -math.floor(math.log10(step)))
  return round(ends[0], digits), round(ends[1], digits)


def num_outside(run: run_lib.Run, found: rollout.Rollouts) -> int:
  """Labels that the atoms do not reach; said, and counted as the nearest."""
  atoms = run.players.critic.atoms
  if atoms is None:
    return 0
  labels = found.label
  count = int(((labels < atoms[0]) | (labels > atoms[-1])).sum())
  if count:
    logging.warning(
      "%d of %d rewards lie outside the support from %g to %g (they reach from "
      "%g to %g) and count as its ends: widen value.v_min and value.v_max",
      *(count, len(labels), atoms[0], atoms[-1], labels.min(), labels.max()),
    )
  return count


def _range(run: run_lib.Run) -> tuple[float, float]:
  atoms = run.players.critic.atoms
  if atoms is not None:
    return atoms[0], atoms[-1]
  found = rollout.store.read(run.paths.rollouts(1), with_text=False)
  labels = found.label[found.is_graded].astype(np.float64)
  if not labels.size:
    raise InputError(
      "no sample of round 1 has a reward, so there is no range for the values: "
      "check the reward, or set value.v_min and value.v_max"
    )
  low, high = rounded(float(labels.min()), float(labels.max()))
  logging.info("values are distributions on [%g, %g]", low, high)
  return low, high
