"""Meshes, rules from logical axes to mesh axes, and placing trees by them."""

from qsharp_jax.sharding import mesh, placement, rules

__all__ = ["mesh", "placement", "rules"]
