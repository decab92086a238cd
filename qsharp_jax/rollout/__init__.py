"""Rollouts of Algorithm 1: switch, sample, score, store."""

from qsharp_jax.rollout import (
  buffer,
  collect,
  columns,
  grading,
  on_device,
  partly,
  problems,
  program,
  shard_files,
  store,
  switch,
  trajectories,
)
from qsharp_jax.rollout.collect import Sampler
from qsharp_jax.rollout.columns import Rollout, Rollouts
from qsharp_jax.rollout.problems import Plan, Preference, Problem

__all__ = [
  "Plan",
  "Preference",
  "Problem",
  "Rollout",
  "Rollouts",
  "Sampler",
  "buffer",
  "collect",
  "columns",
  "grading",
  "on_device",
  "partly",
  "problems",
  "program",
  "shard_files",
  "store",
  "switch",
  "trajectories",
]
