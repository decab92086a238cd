"""Texts as vectors: the mean of a value model's last hidden states."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from qsharp_jax import models
from qsharp_jax.core.arrays import Array, PyTree
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.sharding import processes


def mean_hidden(
  model: models.ValueModel,
  params: PyTree,
  sequences: Sequence[Sequence[int]],
  *,
  length: int,
  batch_size: int,
  layout: layout_lib.Layout,
) -> np.ndarray:
  """The mean over the tokens of each sequence, read by itself.

  Args:
    model: whose backbone reads.
    params: its parameters.
    sequences: token ids, at least one and at most `length` each.
    length: of a padded row.
    batch_size: rows that are read together.
    layout: of the devices.

  Returns:
    One vector a sequence, float32. Shape [S, D].
  """
  found = []
  for start in range(0, len(sequences), batch_size):
    batch = sequences[start : start + batch_size]
    tokens = np.zeros((batch_size, length), np.int32)
    positions = np.full((batch_size, length), -1, np.int32)
    for i, sequence in enumerate(batch):
      tokens[i, : len(sequence)] = sequence
      positions[i, : len(sequence)] = np.arange(len(sequence))
    means = _mean_hidden(model, params, *layout.place((tokens, positions)))
    found.append(processes.fetch(means)[: len(batch)])
  return np.concatenate(found) if found else np.zeros((0, model.config.width))


@functools.partial(jax.jit, static_argnames="model")
def _mean_hidden(
  model: models.ValueModel, params: PyTree, tokens: Array, positions: Array
) -> Array:
  """Means [B, D] over the tokens that are no padding."""
  hidden = model.apply(params, tokens, positions, method="hidden")
  is_real = (positions >= 0)[..., None]
  total = jnp.sum(jnp.where(is_real, hidden.astype(jnp.float32), 0.0), axis=1)
  return total / jnp.maximum(jnp.sum(is_real, axis=1), 1)
