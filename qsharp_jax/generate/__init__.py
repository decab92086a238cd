"""Guided decoding: prefill, one while loop, and a pure guidance function."""

from qsharp_jax.generate import batching, decode, memory, policy
from qsharp_jax.generate.batching import (
  Completion,
  Request,
  Sampling,
  generate,
)
from qsharp_jax.generate.policy import Controls, Guidance, Policy

__all__ = [
  "Completion",
  "Controls",
  "Guidance",
  "Policy",
  "Request",
  "Sampling",
  "batching",
  "decode",
  "generate",
  "memory",
  "policy",
]
