"""Published shapes of models, so that none has to be downloaded to size it."""

import re
from typing import Any

from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import places
from qsharp_jax.core.errors import InputError

_LLAMA = {
  "model_type": "llama",
  "vocab_size": 128256,
  "num_key_value_heads": 8,
  "max_position_embeddings": 131072,
  "rms_norm_eps": 1e-5,
  "rope_theta": 500000.0,
  "rope_scaling": {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
  },
}
_QWEN = {
  "model_type": "qwen2",
  "max_position_embeddings": 32768,
  "rms_norm_eps": 1e-6,
  "rope_theta": 1000000.0,
}


def _sizes(
  family: dict,
  width: int,
  layers: int,
  heads: int,
  mlp_width: int,
  **others: Any,
) -> dict[str, Any]:
  sizes = {
    "hidden_size": width,
    "num_hidden_layers": layers,
    "num_attention_heads": heads,
    "intermediate_size": mlp_width,
  }
  return family | sizes | others


def _qwen(*sizes: int, kv_heads: int, vocab: int, tied: bool) -> dict[str, Any]:
  return _sizes(
    _QWEN,
    *sizes,
    num_key_value_heads=kv_heads,
    vocab_size=vocab,
    tie_word_embeddings=tied,
  )


_OLD = {"rope_scaling": None, "max_position_embeddings": 8192}
_SMALL = {"tie_word_embeddings": True, "head_dim": 64}
SHAPES = {
  "llama-3-8b": _sizes(_LLAMA | _OLD, 4096, 32, 32, 14336),
  "llama-3.1-8b": _sizes(_LLAMA, 4096, 32, 32, 14336),
  "llama-3.1-70b": _sizes(_LLAMA, 8192, 80, 64, 28672),
  "llama-3.2-1b": _sizes(_LLAMA, 2048, 16, 32, 8192, **_SMALL),
  "llama-3.2-3b": _sizes(
    _LLAMA, 3072, 28, 24, 8192, tie_word_embeddings=True, head_dim=128
  ),
  "qwen2.5-0.5b": _qwen(896, 24, 14, 4864, kv_heads=2, vocab=151936, tied=True),
  "qwen2.5-1.5b": _qwen(
    1536, 28, 12, 8960, kv_heads=2, vocab=151936, tied=True
  ),
  "qwen2.5-3b": _qwen(2048, 36, 16, 11008, kv_heads=2, vocab=151936, tied=True),
  "qwen2.5-7b": _qwen(
    3584, 28, 28, 18944, kv_heads=4, vocab=152064, tied=False
  ),
  "qwen2.5-32b": _qwen(
    5120, 64, 40, 27648, kv_heads=8, vocab=152064, tied=False
  ),
  "qwen2.5-72b": _qwen(
    8192, 80, 64, 29568, kv_heads=8, vocab=152064, tied=False
  ),
}


def read(name: str) -> dict[str, Any]:
  """The `config.json` of a model directory, or of a published model.

  Args:
    name: a directory, a name of the table, or a Hub name of such a model,
      tuned for instructions or not.

  Raises:
    InputError: neither. Nothing is downloaded.
  """
  if places.path(name).is_dir():
    return huggingface.read_config(name)
  own = name.rsplit("/", 1)[-1].lower()
  own = re.sub(r"^meta-|-(instruct|base)$", "", own)
  if own not in SHAPES:
    raise InputError(
      f"the shape of {name!r} is not known; expected a directory with "
      f"config.json or one of {', '.join(SHAPES)}"
    )
  return SHAPES[own]
