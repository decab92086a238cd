"""Meshes, rules from logical to mesh axes, placing trees, many processes."""

from qsharp_jax.sharding import mesh, placement, processes, rules

__all__ = ["mesh", "placement", "processes", "rules"]
