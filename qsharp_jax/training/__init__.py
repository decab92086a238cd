"""Objectives, the one training step, and the loop around it."""

from qsharp_jax.training import loop, objectives, policy_objectives, step
from qsharp_jax.training.loop import Loop
from qsharp_jax.training.step import TrainState, adamw, create, make_step

__all__ = [
  "Loop",
  "TrainState",
  "adamw",
  "create",
  "loop",
  "make_step",
  "objectives",
  "policy_objectives",
  "step",
]
