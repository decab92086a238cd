"""Rotary position embeddings, in the half-split layout of Hugging Face."""

import math

import jax.numpy as jnp
import numpy as np

from qsharp_jax.core.arrays import Array
from qsharp_jax.models import config as config_lib


def frequencies(
  config: config_lib.DecoderConfig, *, is_local: bool = False
) -> np.ndarray:
  """Angular step per position of each pair of channels that turns.

  Args:
    config: the decoder's.
    is_local: of layers with a base of their own, see `turns_locally`.

  Returns:
    Shape [R / 2], where R is `config.rotary_width`.
  """
  width, scaling = config.rotary_width, config.rope_scaling
  theta = config.local_rope_theta if is_local else config.rope_theta
  freqs = 1.0 / theta ** (np.arange(0, width, 2) / width)
  if scaling is None or is_local:
    return freqs.astype(np.float32)
  if scaling.kind == "linear":
    return (freqs / scaling.factor).astype(np.float32)
  blend = {"llama3": _llama3_share, "yarn": _yarn_share}[scaling.kind]
  kept = blend(freqs, scaling, theta)
  freqs = freqs * kept + freqs / scaling.factor * (1.0 - kept)
  return freqs.astype(np.float32)


def _llama3_share(
  freqs: np.ndarray, scaling: config_lib.RopeScaling, theta: float
) -> np.ndarray:
  """How much of each wave is kept: 0 of slow ones, 1 of fast ones."""
  turns = scaling.original_max_length * freqs / (2 * math.pi)
  low, high = scaling.low_freq_factor, scaling.high_freq_factor
  return np.clip((turns - low) / (high - low), 0.0, 1.0)


def _yarn_share(
  freqs: np.ndarray, scaling: config_lib.RopeScaling, theta: float
) -> np.ndarray:
  """The same, linear in the number of the channel instead of the wave's."""
  width = 2 * len(freqs)

  def channel(turns: float) -> float:
    """The one that turns so often within the original length."""
    length = scaling.original_max_length / (2 * math.pi * turns)
    return width * math.log(length) / (2 * math.log(theta))

  low, high = channel(scaling.beta_fast), channel(scaling.beta_slow)
  if scaling.truncate:
    low, high = math.floor(low), math.ceil(high)
  low, high = max(low, 0), min(high, width - 1)
  high += 0.001 * (low == high)
  return 1 - np.clip((np.arange(len(freqs)) - low) / (high - low), 0.0, 1.0)


def rotations(
  config: config_lib.DecoderConfig,
  positions: Array,
  num_positions: int,
  *,
  is_local: bool = False,
) -> tuple[Array, Array]:
  """Cosines and sines of the angles at `positions` [B, T], each [B, T, 1, R/2].

  They are looked up: left to compute them, the compiler does so in every layer
  and head again. The table is float32 whatever the model's dtype: bfloat16
  cannot tell position 257 from 258.
  """
  freqs = frequencies(config, is_local=is_local)
  angles = np.arange(num_positions)[:, None] * freqs
  table = np.stack([np.cos(angles), np.sin(angles)], axis=1)
  if config.rope_scaling is not None and not is_local:
    table *= config.rope_scaling.attention_factor
  found = jnp.asarray(table, jnp.float32)[jnp.maximum(positions, 0)]
  return found[:, :, None, 0], found[:, :, None, 1]


def rotate(x: Array, turn: tuple[Array, Array]) -> Array:
  """Rotates channel pairs (i, i + R/2) of `x` [B, T, N, H]; see `rotations`.

  Channels from R on stay as they are.
  """
  cos, sin = turn
  middle, end = cos.shape[-1], 2 * cos.shape[-1]
  left, right = (
    part.astype(jnp.float32) for part in (x[..., :middle], x[..., middle:end])
  )
  turned = [left * cos - right * sin, right * cos + left * sin]
  turned = [part.astype(x.dtype) for part in turned]
  return jnp.concatenate([*turned, x[..., end:]], axis=-1)
