"""Models and train states on disk."""

from qsharp_jax.checkpoint import (
  families,
  huggingface,
  name_tables,
  train_state,
)

__all__ = ["families", "huggingface", "name_tables", "train_state"]
