"""The theory as pure functions: jax only, no parameters, no IO, no config."""

from qsharp_jax.ops import (
  advantages,
  distributions,
  filtering,
  guidance,
  kl,
  losses,
  policy_gradient,
  preferences,
  readout,
  token_rewards,
)

__all__ = [
  "advantages",
  "distributions",
  "filtering",
  "guidance",
  "kl",
  "losses",
  "policy_gradient",
  "preferences",
  "readout",
  "token_rewards",
]
