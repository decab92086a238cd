"""Guided decoding: prefill, one while loop, and a pure guidance function."""

from qsharp_jax.generate import (
  batching,
  beam,
  blocks,
  decode,
  memory,
  policy,
  requests,
  transfer,
)
from qsharp_jax.generate.batching import generate
from qsharp_jax.generate.policy import Controls, Guidance, Policy
from qsharp_jax.generate.requests import Completion, Request, Sampling

__all__ = [
  "Completion",
  "Controls",
  "Guidance",
  "Policy",
  "Request",
  "Sampling",
  "batching",
  "beam",
  "blocks",
  "decode",
  "generate",
  "memory",
  "policy",
  "requests",
  "transfer",
]
