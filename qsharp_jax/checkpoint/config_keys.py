"""Keys of `config.json` that take more than a look-up, read and written."""

import math
from collections.abc import Mapping
from typing import Any

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.models import DecoderConfig, RopeScaling

Json = Mapping[str, Any]
Windows = tuple[int | None, ...] | None

_ROPE_TYPES = ("default", "linear", "llama3")
# What transformers reads of a rotary embedding. Keys of another kind than the
# one named do nothing there either.
_ROPE_KEYS = {
  "rope_type",
  "type",
  "rope_theta",
  "partial_rotary_factor",
  "factor",
  "low_freq_factor",
  "high_freq_factor",
  "original_max_position_embeddings",
  "attention_factor",
  "beta_fast",
  "beta_slow",
  "short_factor",
  "long_factor",
  "mscale",
  "mscale_all_dim",
  "truncate",
}
ROTARY = {
  "rope_theta",
  "rope_scaling",
  "rope_parameters",
  "original_max_position_embeddings",
}
_DERIVED = ("num_key_value_heads", "head_dim", "n_inner")  # null: follows
_MAY_BE_0 = ("rms_norm_eps", "layer_norm_epsilon", "initializer_range")
_LARGEST_SIZE = 2**31 - 1
_ATTENTIONS = ("sliding_attention", "full_attention")
_MOST_LAYERS = 10_000


def value(raw: Json, key: str, kind: Any = float) -> Any:
  """A key of the file, checked where it is a size, a number or a switch.

  Args:
    raw: content of `config.json`, or a part of it.
    key: the key.
    kind: int for a size, float for a number, bool for a switch; anything else
      is a name.

  Raises:
    InputError: no such key, or not of its kind.
  """
  if key not in raw:
    raise InputError(f"config.json has no {key!r}; expected it, check the file")
  found = raw[key]
  if found is None and key in _DERIVED:
    return None
  is_depth = key in ("num_hidden_layers", "n_layer")
  most = _MOST_LAYERS if is_depth else _LARGEST_SIZE
  least = "a finite number >= 0" if key in _MAY_BE_0 else "a finite number > 0"
  expected, is_fitting = {
    int: (f"a size from 1 to {most}", _is_size(found, most)),
    float: (least, _is_positive(found, or_0=key in _MAY_BE_0)),
    bool: ("a boolean", isinstance(found, bool)),
  }.get(kind, ("a name", isinstance(found, str)))
  if not is_fitting:
    raise InputError(
      f"{key} is {errors.short(found)} in config.json; expected {expected}"
    )
  return found


def _is_size(found: Any, most: int = _LARGEST_SIZE) -> bool:
  is_integer = isinstance(found, int) and not isinstance(found, bool)
  return is_integer and 1 <= found <= most


def _is_positive(found: Any, *, or_0: bool) -> bool:
  """Whether this is a number that float32 can hold, and > 0 (or >= 0)."""
  if not isinstance(found, int | float) or isinstance(found, bool):
    return False
  return 0 <= found < 1e38 and (or_0 or found > 0) and not math.isnan(found)


def rope(raw: Json) -> tuple[float, RopeScaling | None]:
  """Base and scaling, from transformers 5's one dict or 4's two keys.

  Where both are given transformers reads `rope_scaling` and forgets the other;
  so do we, unless the other contradicts it.

  Raises:
    InputError: a kind, a key or a value that is not supported.
  """
  rope = _rope(raw)
  kind = rope.get("rope_type", rope.get("type", "default"))
  if kind not in _ROPE_TYPES or rope.get("partial_rotary_factor", 1.0) != 1.0:
    raise _unsupported(rope)
  theta = float(value(rope, "rope_theta"))
  if kind == "default":
    return theta, None
  factor = float(value(rope, "factor"))
  if kind == "linear":
    return theta, RopeScaling("linear", factor)
  low, high = (
    float(value(rope, f"{name}_freq_factor")) for name in ("low", "high")
  )
  if low >= high:
    raise InputError(
      f"low_freq_factor {low} is not below high_freq_factor {high}; expected "
      "a rotary embedding of the kind llama3"
    )
  length = value(rope, "original_max_position_embeddings", int)
  return theta, RopeScaling("llama3", factor, low, high, length)


def _rope(raw: Json) -> dict[str, Any]:
  """The one dict of the rotary embedding, with what stands beside it."""
  old, new = raw.get("rope_scaling"), raw.get("rope_parameters")
  for rope in (old, new):
    if rope and not isinstance(rope, Mapping):
      raise _unsupported(rope)
    # A dict in the dict is a rotation of its own for each kind of layer.
    if rope and not {k for k, x in rope.items() if x is not None} <= _ROPE_KEYS:
      raise _unsupported(rope)
  old, new = (
    {k: x for k, x in (rope or {}).items() if x is not None}
    for rope in (old, new)
  )
  beside = {
    "rope_theta": raw.get("rope_theta", 10_000.0),
    "partial_rotary_factor": raw.get("partial_rotary_factor", 1.0),
    "original_max_position_embeddings": raw["max_position_embeddings"],
  }
  rope = beside | (old or new)
  if raw.get("original_max_position_embeddings") is not None:
    key = "original_max_position_embeddings"
    rope[key] = raw[key]
  lost = {
    key: x
    for key, x in (new if old else {}).items()
    if x != rope.get(key, x)
    and not (key in ("rope_type", "type") and x == "default")
  }
  if lost:
    raise InputError(
      f"rope_parameters says {errors.short(lost)} in config.json and "
      f"rope_scaling {errors.short(old)}; keep one of them"
    )
  return rope


def _unsupported(rope: Any) -> InputError:
  return InputError(
    f"rotary embedding {errors.short(rope)} is not supported; expected "
    f"rope_type one of {', '.join(_ROPE_TYPES)} on all channels"
  )


def rope_scaling_to_hf(scaling: RopeScaling | None) -> dict[str, Any] | None:
  """The value of `rope_scaling`, in the form of transformers 4."""
  if scaling is None:
    return None
  if scaling.kind == "linear":
    return {"rope_type": "linear", "factor": scaling.factor}
  return {
    "rope_type": "llama3",
    "factor": scaling.factor,
    "low_freq_factor": scaling.low_freq_factor,
    "high_freq_factor": scaling.high_freq_factor,
    "original_max_position_embeddings": scaling.original_max_length,
  }


def no_windows(raw: Json) -> Windows:
  """No layer slides (GPT-2, Llama)."""
  return None


def one_window(raw: Json) -> Windows:
  """Every layer slides (Mistral)."""
  if raw["sliding_window"] is None:
    return None
  window = value(raw, "sliding_window", int)
  return (window,) * raw["num_hidden_layers"]


def windows_by_layer(raw: Json) -> Windows:
  """Only some layers slide, named one by one or by a first layer (Qwen)."""
  num_layers, first = raw["num_hidden_layers"], raw["max_window_layers"]
  if isinstance(first, bool) or not isinstance(first, int):
    raise InputError(
      f"max_window_layers is {errors.short(first)} in config.json; expected an "
      "integer"
    )
  kinds = raw["layer_types"]
  if kinds is None:
    kinds = [
      "sliding_attention" if i >= first else "full_attention"
      for i in range(num_layers)
    ]
  fits = isinstance(kinds, list) and len(kinds) == num_layers
  if not fits or not all(kind in _ATTENTIONS for kind in kinds):
    raise InputError(
      f"layer_types is {errors.short(kinds)}; expected "
      f"{' or '.join(_ATTENTIONS)} for each of {num_layers} layers"
    )
  is_sliding = value(raw, "use_sliding_window", bool)
  if not is_sliding or raw["sliding_window"] is None:
    return None
  window = value(raw, "sliding_window", int)
  sliding = [kind == "sliding_attention" for kind in kinds]
  return tuple(window if s else None for s in sliding) if any(sliding) else None


def windows_to_hf(config: DecoderConfig) -> dict[str, Any]:
  """Window keys of Mistral (the first alone) and Qwen."""
  windows = config.sliding_windows or (None,) * config.num_layers
  sliding = [window is not None for window in windows]
  kind = lambda s: "sliding_attention" if s else "full_attention"
  return {
    "sliding_window": next((w for w in windows if w is not None), None),
    "use_sliding_window": any(sliding),
    "max_window_layers": sliding.index(True) if any(sliding) else len(sliding),
    "layer_types": [kind(s) for s in sliding],
  }
