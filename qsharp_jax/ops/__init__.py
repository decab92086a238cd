"""The theory as pure functions: jax only, no parameters, no IO, no config."""

from qsharp_jax.ops import (
  distributions,
  filtering,
  guidance,
  kl,
  losses,
  policy_gradient,
  preferences,
  readout,
)

__all__ = [
  "distributions",
  "filtering",
  "guidance",
  "kl",
  "losses",
  "policy_gradient",
  "preferences",
  "readout",
]
