"""Policies tuned on the same task: what guidance is compared with."""

from qsharp_jax.finetuning import (
  base,
  credit,
  objectives,
  on_policy,
  preferences,
  recipes,
  tuning,
)

__all__ = [
  "base",
  "credit",
  "objectives",
  "on_policy",
  "preferences",
  "recipes",
  "tuning",
]
