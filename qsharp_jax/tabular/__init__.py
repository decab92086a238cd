"""The theory beside exact answers: small MDPs, solved and learnt."""

from qsharp_jax.tabular import (
  learn,
  learners,
  mdp,
  plots,
  questions,
  solve,
  studies,
  transfer,
  transfer_study,
)

__all__ = [
  "learn",
  "learners",
  "mdp",
  "plots",
  "questions",
  "solve",
  "studies",
  "transfer",
  "transfer_study",
]
