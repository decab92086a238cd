"""Grouped-query attention over a cache, with optional leaves."""

import jax
import jax.numpy as jnp

from qsharp_jax.core.arrays import Array
from qsharp_jax.models import cudnn

# Finite, so that a row whose keys are all masked (padding) stays free of NaN.
_MASKED = -1e30
_LONG = 1024  # more queries than these are taken in blocks
BLOCK = 256


def causal_mask(
  query_positions: Array, key_positions: Array, window: int | None = None
) -> Array:
  """Which keys a query sees: not padding, not later, inside the window.

  Args:
    query_positions: positions of the queries. Shape [B, T], int32.
    key_positions: positions of the keys, -1 for padding. Shape [B, S], int32.
    window: number of latest tokens seen, the query's own included.

  Returns:
    True where the key is seen. Shape [B, T, S], bool.
  """
  queries, keys = query_positions[:, :, None], key_positions[:, None, :]
  mask = (keys >= 0) & (keys <= queries)
  return mask if window is None else mask & (keys > queries - window)


def attend(
  query: Array,
  keys: Array,
  values: Array,
  mask: Array,
  own: tuple[Array, Array] | None = None,
  *,
  scale: float | None = None,
  softcap: float | None = None,
) -> Array:
  """Softmax attention; with `own`, the last queries also see themselves.

  Args:
    query: rotated queries. Shape [B, T, N, H].
    keys: rotated keys. Shape [B, G, S, H].
    values: Shape [B, G, S, H].
    mask: which keys each query sees. Shape [B, T, S], bool.
    own: keys and values of the last A queries, the leaves, whose own key is not
      among `keys`. Each leaf sees its own and no sibling's. Shape [B, G, A, H].
    scale: of the scores; by default 1 / sqrt(H).
    softcap: bound of the scores' size, see `soft_cap`.

  Returns:
    Attended values. Shape [B, T, N, H].
  """
  how = {"scale": scale, "softcap": softcap}
  if own is None and cudnn.takes(query.shape[1:], query.dtype, softcap):
    return cudnn.attend(query, keys, values, mask, scale=scale)
  if own is None and is_in_blocks(query.shape[1]):
    return _attend_in_blocks(query, keys, values, mask, **how)
  return _attend(query, keys, values, mask, own, **how)


def is_in_blocks(num_queries: int) -> bool:
  """Whether so many queries are taken block by block."""
  return num_queries > _LONG and num_queries % BLOCK == 0


def _attend_in_blocks(
  query: Array, keys: Array, values: Array, mask: Array, **how: float | None
) -> Array:
  """Block after block of queries, whose scores need not go to main memory.

  Scores are computed again in the backward pass: those of all queries would be
  the largest arrays of a training step.
  """

  @jax.checkpoint
  def attend_block(block: tuple[Array, Array]) -> Array:
    return _attend(block[0], keys, values, block[1], None, **how)

  def cut(x: Array) -> Array:
    x = x.reshape(len(x), -1, BLOCK, *x.shape[2:])
    return x.swapaxes(0, 1)

  mixed = jax.lax.map(attend_block, (cut(query), cut(mask)))
  return mixed.swapaxes(0, 1).reshape(query.shape)


def _attend(
  query: Array,
  keys: Array,
  values: Array,
  mask: Array,
  own: tuple[Array, Array] | None,
  *,
  scale: float | None,
  softcap: float | None,
) -> Array:
  batch, time, num_heads, head_width = query.shape
  groups = keys.shape[1]
  # Heads of one group side by side: one product serves all of them.
  query = query.reshape(batch, time, groups, -1, head_width)
  query = query.transpose(0, 2, 3, 1, 4)
  query = query * (head_width**-0.5 if scale is None else scale)
  scores = soft_cap(_products("bgrth,bgsh->bgrts", query, keys), softcap)
  scores = jnp.where(mask[:, None, None], scores, _MASKED)
  if own is None:
    weights = jax.nn.softmax(scores, axis=-1).astype(values.dtype)
    mixed = _products("bgrts,bgsh->bgrth", weights, values)
  else:
    mixed = _attend_with_leaves(query, scores, values, own, softcap)
  mixed = mixed.transpose(0, 3, 1, 2, 4).astype(values.dtype)
  return mixed.reshape(batch, time, num_heads, head_width)


def soft_cap(x: Array, cap: float | None) -> Array:
  """Bends numbers smoothly into (-cap, cap); None leaves them alone."""
  return x if cap is None else cap * jnp.tanh(x / cap)


def _attend_with_leaves(
  query: Array,
  scores: Array,
  values: Array,
  own: tuple[Array, Array],
  softcap: float | None,
) -> Array:
  """Mixes the cache's values and, for leaves, their own: [B, G, R, T, H]."""
  own_keys, own_values = own
  num_kept = query.shape[3] - own_keys.shape[2]
  pad = ((0, 0), (0, 0), (0, 0), (num_kept, 0))
  own_scores = _products(
    "bgrah,bgah->bgra", query[:, :, :, num_kept:], own_keys
  )
  # Kept apart: a GPU would compute them anew for every number of the softmax.
  own_scores, scores = jax.lax.optimization_barrier((own_scores, scores))
  own_scores = soft_cap(own_scores, softcap)
  own_scores = jnp.pad(own_scores, pad, constant_values=_MASKED)
  scores = jnp.concatenate([scores, own_scores[..., None]], axis=-1)
  weights = jax.nn.softmax(scores, axis=-1).astype(values.dtype)
  own_values = jnp.pad(own_values, ((0, 0), (0, 0), (num_kept, 0), (0, 0)))
  mixed = _products("bgrts,bgsh->bgrth", weights[..., :-1], values)
  own_part = weights[..., -1:] * own_values[:, :, None]
  return mixed + own_part.astype(mixed.dtype)


def _products(equation: str, left: Array, right: Array) -> Array:
  return jnp.einsum(equation, left, right, preferred_element_type=jnp.float32)
