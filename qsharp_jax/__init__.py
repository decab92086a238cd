"""Q#: value-guided, KL-regularised decoding of language models in JAX.

Rooms, lowest layer first: core, ops, models, sharding, rewards, data,
checkpoint, generate, rollout, training, evaluation, pipeline. WORKSPACE.md maps
them.
"""

from qsharp_jax.version import __version__

__all__ = ["__version__"]
