"""Meshes, rules from logical to mesh axes, placing trees, many processes."""

from qsharp_jax.sharding import layout, mesh, placement, processes, rules
from qsharp_jax.sharding.layout import Layout

__all__ = ["Layout", "layout", "mesh", "placement", "processes", "rules"]
