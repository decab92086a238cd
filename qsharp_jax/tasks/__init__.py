"""The tasks, one file each; what a task needs that others do not."""

from qsharp_jax.tasks import (
  abstention,
  abstention_theory,
  base,
  chat,
  competition_math,
  gsm8k,
  quality,
  reading,
  star_graph,
  star_graph_text,
  word_problems,
)
from qsharp_jax.tasks.base import TaskSpec
from qsharp_jax.tasks.reading import Reading

__all__ = [
  "Reading",
  "TaskSpec",
  "abstention",
  "abstention_theory",
  "base",
  "chat",
  "competition_math",
  "gsm8k",
  "quality",
  "reading",
  "star_graph",
  "star_graph_text",
  "word_problems",
]
