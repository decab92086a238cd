"""Strings in, a grade out: extraction, equivalence, workers. Never jax."""

from qsharp_jax.rewards import (
  classes,
  equivalence,
  extraction,
  graders,
  registry,
  workers,
)
from qsharp_jax.rewards.graders import Grade
from qsharp_jax.rewards.registry import declare, resolve
from qsharp_jax.rewards.workers import GradingPool

__all__ = [
  "Grade",
  "GradingPool",
  "classes",
  "declare",
  "equivalence",
  "extraction",
  "graders",
  "registry",
  "resolve",
  "workers",
]
