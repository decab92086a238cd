"""Other models that score next-token candidates as a value model does.

A scorer has `prefill`, `candidate_values`, `decoders` and `has_leaves`, as
`ValueModel` has, and with leaves `first_values` and `more_values`; the decode
loop knows no more of it. Its cache is a tuple of caches.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

from qsharp_jax.core.arrays import Array
from qsharp_jax.models import cache as cache_lib
from qsharp_jax.models import config as config_lib
from qsharp_jax.models import decoder, value

Caches = tuple[cache_lib.KVCache, ...]


class LogRatio(nn.Module):
  """How much a tuned model prefers a token to what it was tuned from.

  The log-ratio of a model tuned by DPO is, up to its KL weight, the token's
  advantage.

  Source: arXiv 2404.12358 ("From r to Q*").
  """

  # Configs, not modules: linen takes one module given twice for one model.
  tuned_config: config_lib.DecoderConfig
  untuned_config: config_lib.DecoderConfig
  has_leaves = False  # one pass gives all tokens

  def setup(self) -> None:
    """Declares both models."""
    self.tuned = decoder.LanguageModel(self.tuned_config)
    self.untuned = decoder.LanguageModel(self.untuned_config)

  @property
  def decoders(self) -> tuple[config_lib.DecoderConfig, ...]:
    """Sizes of both decoders."""
    return self.tuned_config, self.untuned_config

  def prefill(self, tokens: Array, positions: Array) -> Caches:
    """The caches of both models, holding a block of prompt tokens."""
    return tuple(
      model.prefill(tokens, positions) for model in (self.tuned, self.untuned)
    )

  def candidate_values(
    self, newest: Array, position: Array, candidates: Array, cache: Caches
  ) -> tuple[Array, Caches]:
    """ln(tuned / untuned) of the candidates, [B, A, 1]; see `ValueModel`."""
    log_probs, caches = [], []
    for model, own in zip((self.tuned, self.untuned), cache, strict=True):
      logits, own = model.next_logits(newest, position, own)
      found = jnp.take_along_axis(logits, candidates, axis=1)
      log_probs.append(found - jax.nn.logsumexp(logits, 1, keepdims=True))
      caches.append(own)
    return (log_probs[0] - log_probs[1])[..., None], tuple(caches)


class Several(nn.Module):
  """Value models of several rewards, read side by side."""

  configs: tuple[tuple[config_lib.DecoderConfig, config_lib.HeadConfig], ...]

  def setup(self) -> None:
    """Declares a value model for each reward."""
    self.members = [value.ValueModel(*configs) for configs in self.configs]

  @property
  def decoders(self) -> tuple[config_lib.DecoderConfig, ...]:
    """Sizes of every member's decoder."""
    return tuple(decoder_config for decoder_config, _ in self.configs)

  def prefill(self, tokens: Array, positions: Array) -> Caches:
    """The caches of all members, holding a block of prompt tokens."""
    return tuple(member.prefill(tokens, positions) for member in self.members)

  @property
  def has_leaves(self) -> bool:
    """Whether each candidate takes a token of its own, in every member."""
    return all(head.kind == "v" for _, head in self.configs)

  def candidate_values(
    self,
    newest: Array,
    position: Array,
    candidates: Array,
    cache: Caches,
  ) -> tuple[Array, Caches]:
    """The members' logits one after the other, [B, A, sum of K]."""
    found = [
      member.candidate_values(newest, position, candidates, own)
      for member, own in zip(self.members, cache, strict=True)
    ]
    logits, caches = zip(*found, strict=True)
    return jnp.concatenate(logits, axis=-1), tuple(caches)

  def first_values(
    self,
    newest: Array,
    position: Array,
    candidates: Array,
    num_leaves: int,
    cache: Caches,
    is_read: Array | None = None,
  ) -> tuple[Array, tuple[Array | None, ...], Caches]:
    """As `ValueModel.first_values`: logits [B, m, sum of K]."""
    block = (newest, position, candidates, num_leaves)
    found = [
      member.first_values(*block, own, is_read)
      for member, own in zip(self.members, cache, strict=True)
    ]
    logits, told, caches = zip(*found, strict=True)
    return jnp.concatenate(logits, axis=-1), tuple(told), tuple(caches)

  def more_values(
    self,
    position: Array,
    leaves: Array,
    told: tuple[Array | None, ...],
    cache: Caches,
  ) -> Array:
    """As `ValueModel.more_values`: logits [B, m, sum of K]."""
    parts = zip(self.members, told, cache, strict=True)
    found = [x.more_values(position, leaves, *own) for x, *own in parts]
    return jnp.concatenate(found, axis=-1)
