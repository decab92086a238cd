"""Model pairs of the benchmarks: a reference and its V-type value model."""

import dataclasses

from qsharp_jax import models


def _llama(
  vocab: int, width: int, layers: int, heads: int, kv_heads: int, mlp: int
) -> models.DecoderConfig:
  return models.DecoderConfig(
    vocab_size=vocab,
    width=width,
    num_layers=layers,
    num_heads=heads,
    num_kv_heads=kv_heads,
    head_width=width // heads,
    mlp_width=mlp,
    max_length=4096,
  )


PAIRS = {
  "tiny": (_llama(512, 64, 3, 4, 4, 192), _llama(512, 64, 3, 4, 4, 192)),
  "129m_40m": (
    _llama(28800, 768, 12, 12, 12, 2048),
    _llama(28800, 512, 8, 8, 8, 1408),
  ),
  # Llama 3.1 8B and Llama 3.2 1B.
  "8b_1b": (
    _llama(128256, 4096, 32, 32, 8, 14336),
    _llama(128256, 2048, 16, 32, 8, 8192),
  ),
}


def with_dtype(
  config: models.DecoderConfig, dtype: str
) -> models.DecoderConfig:
  """The same model with weights and activations of another type."""
  return dataclasses.replace(config, dtype=dtype, param_dtype=dtype)


def num_parameters(config: models.DecoderConfig, *, with_output: bool) -> int:
  """Parameters that every token of a forward pass is multiplied with."""
  c = config
  heads = 2 * c.num_heads + 2 * c.num_kv_heads
  layer = c.width * c.head_width * heads + 3 * c.width * c.mlp_width
  return c.num_layers * layer + with_output * c.vocab_size * c.width
