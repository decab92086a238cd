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


def angles(config: config_lib.DecoderConfig, positions: Array) -> Array:
  """Rotation angles of `positions` [B, T], float32. Shape [B, T, 1, H / 2].

  Float32 whatever the model's dtype: bfloat16 cannot tell position 257 from
  258.
  """
  steps = jnp.asarray(frequencies(config))
  return positions[..., None, None].astype(jnp.float32) * steps


def rotate(x: Array, theta: Array) -> Array:
  """Rotates channel pairs (i, i + H/2) of `x` [B, T, N, H] by `theta`."""
  left, right = jnp.split(x.astype(jnp.float32), 2, axis=-1)
  cos, sin = jnp.cos(theta), jnp.sin(theta)
  turned = [left * cos - right * sin, right * cos + left * sin]
  return jnp.concatenate(turned, axis=-1).astype(x.dtype)
