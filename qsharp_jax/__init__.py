"""Q#: value-guided, KL-regularised decoding of language models in JAX.

`load` is the library in one call. Rooms, lowest layer first: core; ops, models,
sharding, rewards, data; tasks, checkpoint, generate, tabular; rollout,
training, evaluation, serving; pipeline, reward_models; finetuning. WORKSPACE.md
maps them.
"""

import importlib

from qsharp_jax.version import __version__

__all__ = ["__version__", "load"]


def __getattr__(name: str):
  """Finds `load` when it is asked for: a lower room must not import it."""
  if name == "load":
    return importlib.import_module("qsharp_jax.guide").load
  raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
