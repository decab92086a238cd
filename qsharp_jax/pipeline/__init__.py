"""Algorithm 1 from end to end, resumable stage by stage."""

from qsharp_jax.pipeline import (
  algorithm1,
  answers,
  bindings,
  contents,
  curves,
  evaluate,
  hold,
  jobs,
  judging,
  labelled,
  methods,
  on_device,
  paths,
  pretraining,
  run,
  searches,
  second_values,
  standardising,
  support,
  tokens,
  values,
  verifying,
  workdir,
)
from qsharp_jax.pipeline.algorithm1 import learn
from qsharp_jax.pipeline.jobs import Evaluation
from qsharp_jax.pipeline.methods import Method
from qsharp_jax.pipeline.paths import RunPaths
from qsharp_jax.pipeline.run import Players, Rounds, Run, Task
from qsharp_jax.pipeline.workdir import Workdir

__all__ = [
  "Evaluation",
  "Method",
  "Players",
  "Rounds",
  "Run",
  "RunPaths",
  "Task",
  "Workdir",
  "algorithm1",
  "answers",
  "bindings",
  "contents",
  "curves",
  "evaluate",
  "hold",
  "jobs",
  "judging",
  "labelled",
  "learn",
  "methods",
  "on_device",
  "paths",
  "pretraining",
  "run",
  "searches",
  "second_values",
  "standardising",
  "support",
  "tokens",
  "values",
  "verifying",
  "workdir",
]
