"""Rollouts of Algorithm 1: switch, sample, score, store."""

from qsharp_jax.rollout import (
  collect,
  columns,
  grading,
  on_device,
  problems,
  program,
  shard_files,
  store,
  switch,
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
  "collect",
  "columns",
  "grading",
  "on_device",
  "problems",
  "program",
  "shard_files",
  "store",
  "switch",
]
