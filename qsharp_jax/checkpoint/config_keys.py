"""Keys of `config.json` that take more than a look-up, read and written."""

import math
from collections.abc import Mapping
from typing import Any

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.models import DecoderConfig

Json = Mapping[str, Any]
Windows = tuple[int | None, ...] | None

_MAY_BE_NULL = (
  "attn_logit_softcapping",  # null: none
  "final_logit_softcapping",
  "head_dim",  # null: follows from others
  "n_inner",
  "num_key_value_heads",
)
_MAY_BE_0 = (
  "initializer_range",
  "layer_norm_eps",
  "layer_norm_epsilon",
  "rms_norm_eps",
)
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
  if found is None and key in _MAY_BE_NULL:
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


def no_windows(raw: Json) -> Windows:
  """No layer slides (GPT-2, GPT-NeoX, Llama, Gemma 1, OLMo 2)."""
  return None


def one_window(raw: Json) -> Windows:
  """Every layer slides (Mistral, Phi-3)."""
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
  sliding = _are_sliding(raw, [i >= first for i in range(num_layers)])
  is_sliding = value(raw, "use_sliding_window", bool)
  if not is_sliding or raw["sliding_window"] is None:
    return None
  return _windows(raw, sliding)


def windows_by_period(raw: Json) -> Windows:
  """All layers slide but each of a number's multiples (Gemma 2 and 3)."""
  period = value(raw, "sliding_window_pattern", int)
  num_layers = raw["num_hidden_layers"]
  every = [bool((i + 1) % period) for i in range(num_layers)]
  return _windows(raw, _are_sliding(raw, every))


def _are_sliding(raw: Json, sliding: list[bool]) -> list[bool]:
  """Which layers slide: as `layer_types` says, or else `sliding`."""
  kinds = raw["layer_types"]
  if kinds is None:
    return sliding
  fits = isinstance(kinds, list) and len(kinds) == len(sliding)
  if not fits or not all(kind in _ATTENTIONS for kind in kinds):
    raise InputError(
      f"layer_types is {errors.short(kinds)}; expected "
      f"{' or '.join(_ATTENTIONS)} for each of {len(sliding)} layers"
    )
  return [kind == "sliding_attention" for kind in kinds]


def _windows(raw: Json, sliding: list[bool]) -> Windows:
  if not any(sliding):
    return None
  window = value(raw, "sliding_window", int)
  return tuple(window if s else None for s in sliding)


def windows_to_hf(config: DecoderConfig) -> dict[str, Any]:
  """Window keys of Mistral and Phi-3 (the first alone), Qwen and Gemma."""
  windows = config.sliding_windows or (None,) * config.num_layers
  sliding = [window is not None for window in windows]

  def kind(s):
    return "sliding_attention" if s else "full_attention"

  return {
    "sliding_window": next((w for w in windows if w is not None), None),
    "use_sliding_window": any(sliding),
    "max_window_layers": sliding.index(True) if any(sliding) else len(sliding),
    "layer_types": [kind(s) for s in sliding],
  }
