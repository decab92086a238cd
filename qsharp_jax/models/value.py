"""The value model: a backbone with a head that predicts the reward-to-go."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from qsharp_jax.core.arrays import Array
from qsharp_jax.models import cache as cache_lib
from qsharp_jax.models import config as config_lib
from qsharp_jax.models import decoder, layers


class ValueModel(nn.Module):
  """Distribution of the reward-to-go under the reference, as K logits a token.

  Source: arXiv 2502.20548, section 2.3; V-type and Q-type heads as in its
  ablation of parameterisations.
  """

  config: config_lib.DecoderConfig
  head: config_lib.HeadConfig

  def setup(self) -> None:
    """Declares backbone and head; a zero head is uniform: no guidance."""
    c = self.config
    self.backbone = decoder.Backbone(c)
    rows, axis = (c.vocab_size, "vocab") if self.head.kind == "q" else (1, None)
    last = "embed"
    if self.head.is_predicting:
      self.predicting_norm = layers.Norm(c)
      last = None  # one more than devices can share
    self.table = self.param(
      "head",
      nn.with_logical_partitioning(
        nn.initializers.zeros, (axis, "atoms", last)
      ),
      (rows, self.head.num_atoms, c.width + self.head.is_predicting),
      c.param_dtype,
    )

  def __call__(
    self, tokens: Array, positions: Array, segments: Array | None = None
  ) -> Array:
    """Value logits of every prefix, the prefix ending in the token itself.

    A Q-type head reads position t - 1 and answers for token t; the first token
    of a sequence therefore has no meaningful value.

    Args:
      tokens: Shape [B, T], int32.
      positions: -1 for padding. Shape [B, T], int32.
      segments: sequences packed in one row. Shape [B, T], int32.

    Returns:
      Logits, float32. Shape [B, T, K].
    """
    (*below, hidden), _ = self.backbone.levels(
      tokens,
      positions,
      segments=segments,
      below=self.head.predicting_layers,
    )
    if self.head.is_predicting:
      told = self._log_probs(below[0][:, :-1], tokens[:, 1:, None])[..., 0]
      told = jnp.pad(told, ((0, 0), (1, 0)))
      # Nothing predicts the first token of a sequence.
      hidden = _beside(hidden, jnp.where(positions > 0, told, 0.0))
    if self.head.kind == "v":
      return self._read(hidden, self.table[0])
    before = jnp.pad(hidden[:, :-1], ((0, 0), (1, 0), (0, 0)))
    return self._read(before, self.table[tokens])

  def candidate_values(
    self,
    newest: Array,
    position: Array,
    candidates: Array,
    cache: cache_lib.KVCache,
  ) -> tuple[Array, cache_lib.KVCache]:
    """Value logits of the next-token candidates, in one pass over the weights.

    V-type: the block [newest, c_1 .. c_A], where every candidate is a leaf that
    sees the prefix, the newest token and itself. Q-type: just the newest token.
    Either way only the newest token enters the cache.

    Args:
      newest: last token of each prefix, not yet in the cache. Shape [B].
      position: its position. Shape [B].
      candidates: next tokens to score. Shape [B, A].
      cache: the prefixes without their last token.

    Returns:
      Logits [B, A, K], float32, and the cache with the newest token.
    """
    if self.head.kind == "q":
      hidden, cache = self.backbone(
        newest[:, None], position[:, None], cache=cache
      )
      return self._read(hidden, self.table[candidates]), cache
    num_leaves = candidates.shape[1]
    values, _, cache = self.first_values(
      newest, position, candidates, num_leaves, cache
    )
    return values, cache

  def first_values(
    self,
    newest: Array,
    position: Array,
    candidates: Array,
    num_leaves: int,
    cache: cache_lib.KVCache,
    is_read: Array | None = None,
  ) -> tuple[Array, Array | None, cache_lib.KVCache]:
    """V-type values of the first candidates; `more_values` has the others'.

    Args:
      newest: as in `candidate_values`. Shape [B].
      position: Shape [B].
      candidates: next tokens, the first of which are scored. Shape [B, A].
      num_leaves: m, how many, a Python int.
      cache: the prefixes without their last token.
      is_read: rows whose newest token is in the cache already, so that it is
        not written again; they leave a slot empty. Shape [B].

    Returns:
      Logits [B, m, K], float32; what the others' values need to know of the
      newest token, [B, A] or None; the cache with the newest token.
    """
    block = jnp.concatenate([newest[:, None], candidates[:, :num_leaves]], 1)
    steps = jnp.minimum(jnp.arange(num_leaves + 1), 1)
    (*below, hidden), cache = self.backbone.levels(
      block,
      position[:, None] + steps[None],
      cache=cache,
      num_leaves=num_leaves,
      is_read=is_read,
      below=self.head.predicting_layers,
    )
    told = None
    if self.head.is_predicting:
      told = self._log_probs(below[0][:, 0], candidates)
    return self._of_leaves(hidden[:, 1:], told), told, cache

  def more_values(
    self,
    position: Array,
    leaves: Array,
    told: Array | None,
    cache: cache_lib.KVCache,
  ) -> Array:
    """Values of more candidates of a token that has been read. V-type.

    Args:
      position: of the newest token, which is in the cache. Shape [B].
      leaves: next tokens to score. Shape [B, m].
      told: what `first_values` told of them. Shape [B, m], or None.
      cache: as `first_values` left it. It stays as it is.

    Returns:
      Logits, float32. Shape [B, m, K].
    """
    num_leaves = leaves.shape[1]
    positions = jnp.broadcast_to(position[:, None] + 1, leaves.shape)
    hidden, _ = self.backbone(
      leaves, positions, cache=cache, num_leaves=num_leaves
    )
    return self._of_leaves(hidden, told)

  def _of_leaves(self, hidden: Array, told: Array | None) -> Array:
    """Value logits [B, m, K] of hidden [B, m, D], and the first of `told`."""
    if told is not None:
      hidden = _beside(hidden, told[:, : hidden.shape[1]])
    return self._read(hidden, self.table[0])

  def prefill(self, tokens: Array, positions: Array) -> cache_lib.KVCache:
    """A cache that holds a block of prompt tokens, and nothing else."""
    cache = cache_lib.empty(self.config, *tokens.shape)
    hidden, cache = self.backbone(tokens, positions, cache=cache)
    if self.head.is_predicting and self.is_initializing():
      self.predicting_norm(hidden)  # or its parameters would not be made
    return cache

  def hidden(self, tokens: Array, positions: Array) -> Array:
    """What the backbone makes of every token [B, T]. Shape [B, T, D]."""
    return self.backbone(tokens, positions)[0]

  @property
  def has_leaves(self) -> bool:
    """Whether each candidate takes a token of its own to score."""
    return self.head.kind == "v"

  @property
  def decoders(self) -> tuple[config_lib.DecoderConfig, ...]:
    """Sizes of every decoder inside."""
    return (self.config,)

  def _log_probs(self, hidden: Array, tokens: Array) -> Array:
    """What the lower layers predict of tokens [..., A] after hidden [..., D].

    No gradient passes: what is read is the reference, not something to learn.
    """

    def row(hidden: Array, tokens: Array) -> Array:
      logits = self.backbone.predict(hidden)
      found = jnp.take_along_axis(logits, tokens, axis=-1)
      return found - jax.nn.logsumexp(logits, axis=-1, keepdims=True)

    hidden = self.predicting_norm(hidden)
    if hidden.ndim == 2:
      told = row(hidden, tokens)
    else:  # one sequence after the other: logits of a batch may not fit
      told = jax.lax.map(lambda both: row(*both), (hidden, tokens))
    return jax.lax.stop_gradient(told)

  def _read(self, hidden: Array, table: Array) -> Array:
    """Product of hidden [..., D] and a table [..., K, D], float32."""
    return jnp.einsum(
      "...d,...kd->...k",
      hidden,
      table.astype(self.config.dtype),
      preferred_element_type=jnp.float32,
    )


def _beside(hidden: Array, told: Array) -> Array:
  """Hidden [..., D] and, as one more entry, a log-probability [...].

  It weighs as much as all of them together, so that it is learnt as fast.
  """
  scaled = told * math.sqrt(hidden.shape[-1])
  return jnp.concatenate([hidden, scaled[..., None].astype(hidden.dtype)], -1)
