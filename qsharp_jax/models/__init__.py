"""Linen models: one decoder for all families, its cache and value heads."""

from qsharp_jax.models import attention, cache, rope
from qsharp_jax.models.cache import KVCache
from qsharp_jax.models.config import DecoderConfig, HeadConfig, RopeScaling
from qsharp_jax.models.decoder import Backbone, LanguageModel
from qsharp_jax.models.depth import grow
from qsharp_jax.models.scorers import LogRatio, Several
from qsharp_jax.models.value import ValueModel

__all__ = [
  "Backbone",
  "DecoderConfig",
  "HeadConfig",
  "KVCache",
  "LanguageModel",
  "LogRatio",
  "RopeScaling",
  "Several",
  "ValueModel",
  "attention",
  "cache",
  "grow",
  "rope",
]
