"""Fine-tuned policies, which guidance is compared with: one file a method."""

from qsharp_jax.finetuning import (
  a_star_po,
  base,
  experience,
  grpo,
  methods,
  on_policy,
  pairs,
  ppo,
  preference,
  rloo,
  sft,
)

__all__ = [
  "a_star_po",
  "base",
  "experience",
  "grpo",
  "methods",
  "on_policy",
  "pairs",
  "ppo",
  "preference",
  "rloo",
  "sft",
]
