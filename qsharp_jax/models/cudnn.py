"""Softmax attention of many queries in one kernel, on one NVIDIA GPU.

Scores never go to memory, which is a third of a training step there
(docs/performance.md).
"""

import functools

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike

from qsharp_jax.core.arrays import Array

_WIDEST = 128  # channels of a head
_OLDEST = 8  # compute capability


def takes(
  shape: tuple[int, int, int], dtype: DTypeLike, softcap: float | None
) -> bool:
  """Whether `attend` runs here, on these queries.

  Args:
    shape: of the queries: [T, N, H].
    dtype: of queries, keys and values.
    softcap: of the scores, which the kernel does not know.
  """
  time, _, head_width = shape
  return (
    softcap is None
    and time > 1
    and time % 2 == 0
    and head_width % 8 == 0
    and head_width <= _WIDEST
    and jnp.dtype(dtype) in (jnp.bfloat16, jnp.float16)
    and _is_here()
  )


@functools.cache
def _is_here() -> bool:
  """Whether there is one device, a GPU that the kernel is made for.

  On several, the kernel wants all its inputs cut in the same way, which nothing
  sees to yet.
  """
  first, *others = jax.devices()
  if others or first.platform != "gpu":
    return False
  # AMD's has a name in its place.
  generation = str(first.compute_capability).split(".")[0]
  return generation.isdigit() and int(generation) >= _OLDEST


def attend(
  query: Array,
  keys: Array,
  values: Array,
  mask: Array,
  *,
  scale: float | None = None,
) -> Array:
  """Softmax attention; arguments as `attention.attend`, whose mask it takes.

  Args:
    query: Shape [B, T, N, H].
    keys: Shape [B, G, S, H].
    values: Shape [B, G, S, H].
    mask: Shape [B, T, S], bool.
    scale: of the scores; by default 1 / sqrt(H).

  Returns:
    Attended values. Shape [B, T, N, H].
  """
  return jax.nn.dot_product_attention(
    query,
    keys.swapaxes(1, 2),
    values.swapaxes(1, 2),
    mask=mask[:, None],
    scale=scale,
    implementation="cudnn",
  )
