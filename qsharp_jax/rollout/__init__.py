"""Rollouts of Algorithm 1: switch, sample, score, store."""

from qsharp_jax.rollout import collect, columns, store, switch
from qsharp_jax.rollout.collect import Plan, Problem, Sampler
from qsharp_jax.rollout.columns import Rollout, Rollouts

__all__ = [
  "Plan",
  "Problem",
  "Rollout",
  "Rollouts",
  "Sampler",
  "collect",
  "columns",
  "store",
  "switch",
]
