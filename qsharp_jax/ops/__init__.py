"""The theory as pure functions: jax only, no parameters, no IO, no config."""

from qsharp_jax.ops import (
  filtering,
  guidance,
  laws,
  losses,
  policy,
  policy_gradient,
  preferences,
)

__all__ = [
  "filtering",
  "guidance",
  "laws",
  "losses",
  "policy",
  "policy_gradient",
  "preferences",
]
