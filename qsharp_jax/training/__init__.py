"""Objectives, the one training step, the loop around it, the value model."""

from qsharp_jax.training import (
  divergence,
  embedding,
  fit,
  loop,
  memory,
  objectives,
  step,
  value_model,
)
from qsharp_jax.training.divergence import Diverged
from qsharp_jax.training.fit import Fit
from qsharp_jax.training.loop import Loop
from qsharp_jax.training.step import TrainState, adamw, create, make_step
from qsharp_jax.training.value_model import Critic

__all__ = [
  "Critic",
  "Diverged",
  "Fit",
  "Loop",
  "TrainState",
  "adamw",
  "create",
  "divergence",
  "embedding",
  "fit",
  "loop",
  "make_step",
  "memory",
  "objectives",
  "step",
  "value_model",
]
