"""Keys of `config.json` that take more than a look-up, read and written."""

from collections.abc import Mapping
from typing import Any

from qsharp_jax.core.errors import InputError
from qsharp_jax.models import DecoderConfig, RopeScaling

Json = Mapping[str, Any]
Windows = tuple[int | None, ...] | None

_ROPE_TYPES = ("default", "linear", "llama3")
_DERIVED = ("num_key_value_heads", "head_dim", "n_inner")  # null: follows


def value(raw: Json, key: str, kind: Any = float) -> Any:
  """A key of the file, checked where it is a size, a number or a switch.

  Args:
    raw: content of `config.json`, or a part of it.
    key: the key.
    kind: int for a size, float for a number, bool for a switch; anything else
      is not checked.

  Raises:
    InputError: no such key, or not of its kind.
  """
  if key not in raw:
    raise InputError(f"config.json has no {key!r}; expected it, check the file")
  found = raw[key]
  if found is None and key in _DERIVED:
    return None
  is_number = isinstance(found, int | float) and not isinstance(found, bool)
  fits = {
    int: ("a size >= 1", is_number and isinstance(found, int) and found > 0),
    float: ("a number", is_number),
    bool: ("a boolean", isinstance(found, bool)),
  }
  expected, is_fitting = fits.get(kind, ("", True))
  if not is_fitting:
    raise InputError(f"{key} is {found!r} in config.json; expected {expected}")
  return found


def rope(raw: Json) -> tuple[float, RopeScaling | None]:
  """Base and scaling, from transformers 5's one dict or 4's two keys."""
  rope = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
  # A dict in the dict is a rotation of its own for each kind of layer.
  is_flat = isinstance(rope, Mapping) and not any(
    isinstance(x, Mapping) for x in rope.values()
  )
  kind = rope.get("rope_type", rope.get("type", "default")) if is_flat else None
  if kind not in _ROPE_TYPES or rope.get("partial_rotary_factor", 1.0) != 1.0:
    raise InputError(
      f"rotary embedding {rope!r} is not supported; expected rope_type "
      f"one of {', '.join(_ROPE_TYPES)} on all channels"
    )
  rope = {"rope_theta": raw.get("rope_theta", 10_000.0), **rope}
  theta = float(value(rope, "rope_theta"))
  if kind == "default":
    return theta, None
  if kind == "linear":
    return theta, RopeScaling("linear", float(value(rope, "factor")))
  return theta, RopeScaling(
    "llama3",
    factor=float(value(rope, "factor")),
    low_freq_factor=float(value(rope, "low_freq_factor")),
    high_freq_factor=float(value(rope, "high_freq_factor")),
    original_max_length=rope.get(
      "original_max_position_embeddings", raw["max_position_embeddings"]
    ),
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
  if not raw["use_sliding_window"] or raw["sliding_window"] is None:
    return None
  window = value(raw, "sliding_window", int)
  num_layers, first = raw["num_hidden_layers"], raw["max_window_layers"]
  kinds = raw["layer_types"] or [
    "sliding_attention" if i >= first else "full_attention"
    for i in range(num_layers)
  ]
  odd = sorted(set(kinds) - {"sliding_attention", "full_attention"})
  if odd or len(kinds) != num_layers:
    raise InputError(
      f"layer_types has {len(kinds)} entries of kinds {sorted(set(kinds))}; "
      f"expected sliding_attention or full_attention for {num_layers} layers"
    )
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
