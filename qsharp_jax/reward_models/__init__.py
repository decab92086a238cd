"""Sequence classifiers as rewards: their texts, scores, sums and training."""

from qsharp_jax.reward_models import (
  bradley_terry,
  grader,
  names,
  scoring,
  texts,
)
from qsharp_jax.reward_models.grader import ModelGrader

__all__ = [
  "ModelGrader",
  "bradley_terry",
  "grader",
  "names",
  "scoring",
  "texts",
]
