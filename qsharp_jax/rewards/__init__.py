"""Strings in, a grade out: extraction, equivalence, workers. Never jax."""

from qsharp_jax.rewards import (
  classes,
  equivalence,
  extraction,
  graders,
  grading,
  registry,
  workers,
)
from qsharp_jax.rewards.graders import Grade
from qsharp_jax.rewards.grading import GradeFn, Grader
from qsharp_jax.rewards.registry import declare, resolve
from qsharp_jax.rewards.workers import GradingPool

__all__ = [
  "Grade",
  "GradeFn",
  "Grader",
  "GradingPool",
  "classes",
  "declare",
  "equivalence",
  "extraction",
  "graders",
  "grading",
  "registry",
  "resolve",
  "workers",
]
