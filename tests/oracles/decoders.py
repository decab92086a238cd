"""Small random decoders of every family, without torch."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from oracles import torch_models

from qsharp_jax import models
from qsharp_jax.checkpoint import families

SMALLEST = models.DecoderConfig(
  vocab_size=11,
  width=8,
  num_layers=1,
  num_heads=2,
  num_kv_heads=1,
  head_width=4,
  mlp_width=12,
  max_length=16,
)


def config(variant: str):
  """The config of a variant, from its keys as transformers 4 writes them."""
  model_type, keys = torch_models.VARIANTS[variant]
  return families.from_hf({"model_type": model_type, **keys})


def params(model, seed: int = 0):
  """Parameters large enough for logits of order 1, biases included."""
  one = np.zeros((1, 1), np.int32)
  shapes = nn.unbox(jax.eval_shape(model.init, jax.random.key(0), one, one))
  rng = np.random.default_rng(seed)

  def fill(path, x):
    noise = rng.normal(size=x.shape).astype(np.float32)
    if path[-1].key == "scale":
      return 1 + 0.3 * noise
    return noise * (0.3 if path[-1].key == "bias" else 0.2)

  return jax.tree_util.tree_map_with_path(
    lambda path, x: jnp.asarray(fill(path, x)), shapes
  )


def left_padded(lengths, time: int, vocab: int, seed: int = 0):
  """Random tokens, True on real ones, positions with -1 on padding."""
  rng = np.random.default_rng(seed)
  tokens = rng.integers(0, vocab, (len(lengths), time)).astype(np.int32)
  mask = np.arange(time) >= time - np.array(lengths)[:, None]
  positions = np.where(mask, np.cumsum(mask, -1) - 1, -1).astype(np.int32)
  return tokens, mask, positions


def right_padded(rows, time: int):
  """Sequences at the left of rows of one length: tokens and positions."""
  tokens = np.zeros((len(rows), time), np.int32)
  positions = np.full((len(rows), time), -1, np.int32)
  for i, row in enumerate(rows):
    tokens[i, : len(row)] = row
    positions[i, : len(row)] = np.arange(len(row))
  return tokens, positions
