"""Algorithm 1 from end to end, resumable stage by stage."""

from qsharp_jax.pipeline import (
  algorithm1,
  baselines,
  compiling,
  credit,
  evaluate,
  fitting,
  held_out,
  labelled,
  layout,
  limits,
  methods,
  on_policy,
  preferences,
  pretraining,
  recipes,
  tuning,
  workdir,
)
from qsharp_jax.pipeline.algorithm1 import Players, Rounds, Run, Task, learn
from qsharp_jax.pipeline.evaluate import Evaluation
from qsharp_jax.pipeline.fitting import Fit
from qsharp_jax.pipeline.held_out import Critic
from qsharp_jax.pipeline.layout import Layout
from qsharp_jax.pipeline.methods import Method
from qsharp_jax.pipeline.workdir import Workdir

__all__ = [
  "Critic",
  "Evaluation",
  "Fit",
  "Layout",
  "Method",
  "Players",
  "Rounds",
  "Run",
  "Task",
  "Workdir",
  "algorithm1",
  "baselines",
  "compiling",
  "credit",
  "evaluate",
  "fitting",
  "held_out",
  "labelled",
  "layout",
  "learn",
  "limits",
  "methods",
  "on_policy",
  "preferences",
  "pretraining",
  "recipes",
  "tuning",
  "workdir",
]
