"""Models and train states on disk."""

from qsharp_jax.checkpoint import (
  classifiers,
  families,
  huggingface,
  name_tables,
  saving,
  train_state,
)

__all__ = [
  "classifiers",
  "families",
  "huggingface",
  "name_tables",
  "saving",
  "train_state",
]
