"""Rotary position embeddings, in the half-split layout of Hugging Face."""

import math

import jax.numpy as jnp
import numpy as np

from qsharp_jax.core.arrays import Array
from qsharp_jax.models import config as config_lib


def frequencies(config: config_lib.DecoderConfig) -> np.ndarray:
  """Angular step per position of each pair of channels. Shape [H / 2]."""
  exponents = np.arange(0, config.head_width, 2) / config.head_width
  freqs = 1.0 / config.rope_theta**exponents
  scaling = config.rope_scaling
  if scaling is None:
    return freqs.astype(np.float32)
  if scaling.kind == "linear":
    return (freqs / scaling.factor).astype(np.float32)
  return _llama3_frequencies(freqs, scaling).astype(np.float32)


def _llama3_frequencies(
  freqs: np.ndarray, scaling: config_lib.RopeScaling
) -> np.ndarray:
  """Slow waves divided by the factor, fast ones kept, a blend in between."""
  turns = scaling.original_max_length * freqs / (2 * math.pi)
  low, high = scaling.low_freq_factor, scaling.high_freq_factor
  kept = np.clip((turns - low) / (high - low), 0.0, 1.0)
  return freqs * kept + freqs / scaling.factor * (1.0 - kept)


def rotations(
  config: config_lib.DecoderConfig, positions: Array, num_positions: int
) -> tuple[Array, Array]:
  """Cosines and sines of the angles at `positions` [B, T], each [B, T, 1, H/2].

  They are looked up: left to compute them, the compiler does so in every layer
  and head again. The table is float32 whatever the model's dtype: bfloat16
  cannot tell position 257 from 258.
  """
  angles = np.arange(num_positions)[:, None] * frequencies(config)
  table = np.stack([np.cos(angles), np.sin(angles)], axis=1)
  found = jnp.asarray(table, jnp.float32)[jnp.maximum(positions, 0)]
  return found[:, :, None, 0], found[:, :, None, 1]


def rotate(x: Array, turn: tuple[Array, Array]) -> Array:
  """Rotates channel pairs (i, i + H/2) of `x` [B, T, N, H]; see `rotations`."""
  left, right = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  cos, sin = turn
  turned = [left * cos - right * sin, right * cos + left * sin]
  return jnp.concatenate(turned, axis=-1).astype(x.dtype)
