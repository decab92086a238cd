"""Guided decoding: prefill, one while loop, and guidance as a value."""

from qsharp_jax.generate import (
  batching,
  beam,
  blocks,
  choice,
  decode,
  following,
  guided,
  memory,
  observing,
  policy,
  reading,
  requests,
  transfer,
)
from qsharp_jax.generate.batching import generate
from qsharp_jax.generate.choice import Choice
from qsharp_jax.generate.guided import Guidance
from qsharp_jax.generate.policy import Controls, Policy
from qsharp_jax.generate.requests import Completion, Request, Sampling

__all__ = [
  "Choice",
  "Completion",
  "Controls",
  "Guidance",
  "Policy",
  "Request",
  "Sampling",
  "batching",
  "beam",
  "blocks",
  "choice",
  "decode",
  "following",
  "generate",
  "guided",
  "memory",
  "observing",
  "policy",
  "reading",
  "requests",
  "transfer",
]
