"""Rollouts of Algorithm 1: switch, sample, score, store."""

from qsharp_jax.rollout import collect, store, switch
from qsharp_jax.rollout.collect import Plan, Problem, Sampler
from qsharp_jax.rollout.store import Rollout

__all__ = [
  "Plan",
  "Problem",
  "Rollout",
  "Sampler",
  "collect",
  "store",
  "switch",
]
