"""The one decoder of all families, and the language model on top of it."""

import math

import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import PartitionSpec

from qsharp_jax.core.arrays import Array
from qsharp_jax.models import attention, products, rope
from qsharp_jax.models import cache as cache_lib
from qsharp_jax.models import config as config_lib
from qsharp_jax.models import layers as layers_lib


class Backbone(nn.Module):
  """Embedding, layers and final norm: tokens in, hidden states out."""

  config: config_lib.DecoderConfig

  def setup(self) -> None:
    """Declares the embedding tables, the layers and the final norm."""
    c = self.config
    std = c.init_std if c.embedding_std is None else c.embedding_std

    def table(name, rows, axis):
      return self.param(
        name,
        nn.with_logical_partitioning(
          nn.initializers.normal(std), (axis, "embed")
        ),
        (rows, c.width),
        c.param_dtype,
      )

    self.embedding = table("embedding", c.vocab_size, "vocab")
    if c.rope_theta is None:
      self.positions = table("positions", c.max_length, "positions")
    # Argument 5 is the number of leaves, a Python int that shapes the program.
    layer = (
      nn.remat(layers_lib.Layer, static_argnums=(5,), prevent_cse=True)
      if c.remat
      else layers_lib.Layer
    )
    self.layers = [layer(c) for _ in range(c.num_layers)]
    self.final_norm = layers_lib.Norm(c)

  def __call__(
    self,
    tokens: Array,
    positions: Array,
    *,
    cache: cache_lib.KVCache | None = None,
    segments: Array | None = None,
    num_leaves: int = 0,
  ) -> tuple[Array, cache_lib.KVCache | None]:
    """Hidden states of a block of tokens, with or without a cache.

    With a cache, the first T - num_leaves tokens are written into its next
    slots. The last `num_leaves` tokens are leaves: each sees the cache (those
    tokens included) and itself, never a sibling, and nothing of it is kept.

    Args:
      tokens: Shape [B, T], int32.
      positions: position of each token in its sequence, -1 for padding. Shape
        [B, T], int32.
      cache: keys and values of what went before.
      segments: without a cache, tokens see only their own segment, so that one
        row can hold several sequences. Shape [B, T], int32.
      num_leaves: A, a Python int.

    Returns:
      Hidden states after the final norm, [B, T, D], and the updated cache.
    """
    hidden, cache = self.levels(
      tokens,
      positions,
      cache=cache,
      segments=segments,
      num_leaves=num_leaves,
    )
    return hidden[-1], cache

  def levels(
    self,
    tokens: Array,
    positions: Array,
    *,
    cache: cache_lib.KVCache | None = None,
    segments: Array | None = None,
    num_leaves: int = 0,
    is_read: Array | None = None,
    below: int = 0,
  ) -> tuple[list[Array], cache_lib.KVCache | None]:
    """Hidden states at two heights; arguments as `__call__`.

    Args:
      tokens: Shape [B, T], int32.
      positions: Shape [B, T], int32.
      cache: keys and values of what went before.
      segments: Shape [B, T], int32.
      num_leaves: A, a Python int.
      is_read: rows that the cache holds already, up to the leaves: they are
        read again, and leave empty what would hold them twice. Shape [B].
      below: so many layers lie below the lower height; 0: there is none.

    Returns:
      Hidden states [B, T, D], those at `below` first and those after the final
      norm last, and the updated cache.
    """
    x = self._embed(tokens, positions)
    found = []
    num_kept = tokens.shape[1] - num_leaves
    if cache is not None:
      kept = positions[:, :num_kept]
      if is_read is not None:
        kept = jnp.where(is_read[:, None], -1, kept)
      cache = cache_lib.claim(cache, kept)
    keys_at = positions if cache is None else cache.positions
    # No sequence is longer than its keys; a leaf may be one further.
    turns = self._turns(positions, keys_at.shape[1] + 1)
    masks = {}
    slots = []
    for i, layer in enumerate(self.layers):
      window = self.config.window(i)
      if window not in masks:
        masks[window] = _mask(positions, keys_at, window, segments)
      old = (
        None if cache is None else (cache.keys[i], cache.values[i], cache.index)
      )
      turn = turns.get(self.config.turns_locally(i))
      x, new = layer(x, turn, masks[window], old, num_leaves)
      slots.append(new)
      if i + 1 == below:
        found.append(x)
    if cache is not None:
      cache = cache.replace(
        keys=tuple(k for k, _ in slots),
        values=tuple(v for _, v in slots),
        index=(cache.index + num_kept) % cache.positions.shape[1],
      )
    return [*found, self.final_norm(x)], cache

  def predict(self, hidden: Array) -> Array:
    """Next-token logits by tied embeddings: [..., D] to [..., V], float32."""
    return _logits(self.config, hidden, self.embedding)

  def _turns(
    self, positions: Array, num_positions: int
  ) -> dict[bool, tuple[Array, Array]]:
    """Rotations of layers without and with a rotary base of their own."""
    c = self.config
    if c.rope_theta is None:
      return {}

    def turns(is_local):
      return rope.rotations(c, positions, num_positions, is_local=is_local)

    return {x: turns(x) for x in set(map(c.turns_locally, range(c.num_layers)))}

  def _embed(self, tokens: Array, positions: Array) -> Array:
    """Token (and learned position) embeddings. Shape [B, T, D]."""
    # Whole along its width, like the other weights when they are used: rows
    # that come out cut along it cannot be cut along the batch again.
    table = nn.with_logical_constraint(
      self.embedding, (PartitionSpec.UNCONSTRAINED, "embed_activation")
    )
    x = table[tokens]
    if self.config.rope_theta is None:
      x = x + self.positions[jnp.maximum(positions, 0)]
    x = x.astype(self.config.dtype)
    if self.config.scaled_embeddings:
      x *= jnp.asarray(math.sqrt(self.config.width), x.dtype)
    return nn.with_logical_constraint(x, ("batch", "time", "embed_activation"))


def _mask(
  positions: Array, keys_at: Array, window: int | None, segments: Array | None
) -> Array:
  mask = attention.causal_mask(positions, keys_at, window)
  if segments is None:
    return mask
  return mask & (segments[:, :, None] == segments[:, None, :])


def _logits(
  config: config_lib.DecoderConfig, hidden: Array, table: Array
) -> Array:
  """Next-token logits [..., V] of hidden states [..., D], float32."""
  logits = products.project(
    hidden, table.astype(config.dtype), dtype=jnp.float32
  )
  return attention.soft_cap(logits, config.logit_softcap)


class LanguageModel(nn.Module):
  """A backbone and its map to next-token logits."""

  config: config_lib.DecoderConfig

  def setup(self) -> None:
    """Declares the backbone and, where untied, the output table."""
    c = self.config
    self.backbone = Backbone(c)
    if not c.tied_embeddings:
      self.unembedding = self.param(
        "unembedding",
        nn.with_logical_partitioning(
          nn.initializers.normal(c.init_std), ("vocab", "embed")
        ),
        (c.vocab_size, c.width),
        c.param_dtype,
      )

  def __call__(self, tokens: Array, positions: Array, **kwargs):
    """Logits [B, T, V] (float32) and cache; arguments as `Backbone`."""
    hidden, cache = self.backbone(tokens, positions, **kwargs)
    return self.logits(hidden), cache

  def hidden(self, tokens: Array, positions: Array, **kwargs):
    """Hidden states [B, T, D] and cache; arguments as `Backbone`."""
    return self.backbone(tokens, positions, **kwargs)

  def prefill(self, tokens: Array, positions: Array) -> cache_lib.KVCache:
    """A cache that holds a block of prompt tokens, and nothing else."""
    cache = cache_lib.empty(self.config, *tokens.shape)
    return self.backbone(tokens, positions, cache=cache)[1]

  def next_logits(
    self, newest: Array, position: Array, cache: cache_lib.KVCache
  ) -> tuple[Array, cache_lib.KVCache]:
    """Reads one token of each row; what may come after it.

    Args:
      newest: last token of each prefix, not yet in the cache. Shape [B].
      position: its position. Shape [B].
      cache: the prefixes without their last token.

    Returns:
      Logits [B, V], float32, and the cache with the newest token.
    """
    hidden, cache = self.backbone(
      newest[:, None], position[:, None], cache=cache
    )
    return self.logits(hidden[:, 0]), cache

  def logits(self, hidden: Array) -> Array:
    """Next-token logits [..., V] of hidden states [..., D], float32."""
    if self.config.tied_embeddings:
      return self.backbone.predict(hidden)
    return _logits(self.config, hidden, self.unembedding)
