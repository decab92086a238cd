"""Hugging Face `config.json` <-> `DecoderConfig`, one table row a family."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from qsharp_jax.core.errors import InputError
from qsharp_jax.models import DecoderConfig, RopeScaling

Json = Mapping[str, Any]
Windows = tuple[int | None, ...] | None

_ACTIVATIONS = {
  "silu": "silu",
  "swish": "silu",
  "gelu": "gelu",
  "gelu_new": "gelu_tanh",
  "gelu_pytorch_tanh": "gelu_tanh",
  "relu": "relu",
}
_ACTIVATION_NAMES = {"gelu_tanh": "gelu_new"}
_ROPE_TYPES = ("default", "linear", "llama3")


def _no_windows(raw: Json) -> Windows:
  return None


def _one_window(raw: Json) -> Windows:
  """Every layer slides (Mistral)."""
  if raw["sliding_window"] is None:
    return None
  window = _value(raw, "sliding_window", int)
  return (window,) * raw["num_hidden_layers"]


def _windows_by_layer(raw: Json) -> Windows:
  """Only some layers slide, named one by one or by a first layer (Qwen)."""
  if not raw["use_sliding_window"] or raw["sliding_window"] is None:
    return None
  window = _value(raw, "sliding_window", int)
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


@dataclasses.dataclass(frozen=True)
class Family:
  """How one family's `config.json` is read and written.

  Attributes:
    architecture: stem of the class names, `<architecture>ForCausalLM`.
    keys: field of `DecoderConfig` -> key of `config.json`.
    defaults: values that transformers assumes for keys that are absent.
    fixed: fields of `DecoderConfig` that no key says.
    only: switches supported at this one value.
    windows: reads the sliding windows.
  """

  architecture: str
  keys: Mapping[str, str]
  defaults: Json
  fixed: Json
  only: Json
  windows: Callable[[Json], Windows] = _no_windows


_ROTARY_KEYS = {
  "vocab_size": "vocab_size",
  "width": "hidden_size",
  "num_layers": "num_hidden_layers",
  "num_heads": "num_attention_heads",
  "num_kv_heads": "num_key_value_heads",
  "head_width": "head_dim",
  "mlp_width": "intermediate_size",
  "max_length": "max_position_embeddings",
  "norm_eps": "rms_norm_eps",
  "activation": "hidden_act",
  "tied_embeddings": "tie_word_embeddings",
}
_BIAS_KEYS = {"qkv_bias": "attention_bias", "output_bias": "attention_bias"}
_ROTARY_DEFAULTS = {
  "num_key_value_heads": None,
  "head_dim": None,
  "rms_norm_eps": 1e-6,
  "hidden_act": "silu",
  "tie_word_embeddings": False,
}
_QWEN_DEFAULTS = _ROTARY_DEFAULTS | {
  "use_sliding_window": False,
  "sliding_window": 4096,
  "max_window_layers": 28,
  "layer_types": None,
}
_ONLY = {"quantization_config": None, "partial_rotary_factor": 1.0}

FAMILIES = {
  "gpt2": Family(
    architecture="GPT2",
    keys={
      "vocab_size": "vocab_size",
      "width": "n_embd",
      "num_layers": "n_layer",
      "num_heads": "n_head",
      "mlp_width": "n_inner",
      "max_length": "n_positions",
      "norm_eps": "layer_norm_epsilon",
      "activation": "activation_function",
      "tied_embeddings": "tie_word_embeddings",
    },
    defaults={
      "n_inner": None,
      "layer_norm_epsilon": 1e-5,
      "activation_function": "gelu_new",
      "tie_word_embeddings": True,
    },
    fixed={
      "norm": "layer",
      "gated_mlp": False,
      "rope_theta": None,
      "qkv_bias": True,
      "output_bias": True,
      "mlp_bias": True,
    },
    only=_ONLY
    | {
      "scale_attn_weights": True,
      "scale_attn_by_inverse_layer_idx": False,
      "add_cross_attention": False,
    },
  ),
  "llama": Family(
    architecture="Llama",
    keys=_ROTARY_KEYS | _BIAS_KEYS | {"mlp_bias": "mlp_bias"},
    defaults=_ROTARY_DEFAULTS | {"attention_bias": False, "mlp_bias": False},
    fixed={},
    only=_ONLY,
  ),
  "mistral": Family(
    architecture="Mistral",
    keys=_ROTARY_KEYS,
    defaults=_ROTARY_DEFAULTS
    | {"num_key_value_heads": 8, "sliding_window": 4096},
    fixed={},
    only=_ONLY,
    windows=_one_window,
  ),
  "qwen2": Family(
    architecture="Qwen2",
    keys=_ROTARY_KEYS,
    defaults=_QWEN_DEFAULTS,
    fixed={"qkv_bias": True},
    only=_ONLY,
    windows=_windows_by_layer,
  ),
  "qwen3": Family(
    architecture="Qwen3",
    keys=_ROTARY_KEYS | _BIAS_KEYS,
    defaults=_QWEN_DEFAULTS | {"head_dim": 128, "attention_bias": False},
    fixed={"qk_norm": True},
    only=_ONLY,
    windows=_windows_by_layer,
  ),
}


def family_of(config: Json) -> str:
  """Name of the family that a `config.json` belongs to.

  Raises:
    InputError: not a supported family.
  """
  name = config.get("model_type")
  if name not in FAMILIES:
    raise InputError(
      f"model_type {name!r} is not supported; expected one of "
      f"{', '.join(sorted(FAMILIES))}"
    )
  return name


def from_hf(
  config: Json, *, dtype: str = "float32", param_dtype: str = "float32"
) -> DecoderConfig:
  """Reads a `config.json` of transformers 4 or 5.

  Args:
    config: the file's content.
    dtype: of activations and matrix products.
    param_dtype: of parameters.

  Raises:
    InputError: an unsupported family, rotary type, activation or switch, or a
      missing or impossible size; the message names it.
  """
  family = FAMILIES[family_of(config)]
  for key, value in family.only.items():
    if config.get(key, value) != value:
      raise InputError(
        f"{key}={config[key]!r} is not supported; expected {value!r}"
      )
  raw = {**family.defaults, **config}
  fields = {
    name: _value(raw, key, _KINDS[name]) for name, key in family.keys.items()
  }
  fields = _derived(fields | family.fixed)
  if fields["activation"] not in _ACTIVATIONS:
    raise InputError(
      f"activation {fields['activation']!r} is not supported; expected one of "
      f"{', '.join(sorted(_ACTIVATIONS))}"
    )
  fields["activation"] = _ACTIVATIONS[fields["activation"]]
  if "rope_theta" not in family.fixed:
    fields["rope_theta"], fields["rope_scaling"] = _rope(raw)
  return DecoderConfig(
    **fields,
    sliding_windows=family.windows(raw),
    dtype=dtype,
    param_dtype=param_dtype,
  )


def to_hf(config: DecoderConfig, family: str) -> dict[str, Any]:
  """The `config.json` that `from_hf` reads back as `config`.

  Written in the form of transformers 4, which transformers 5 reads too.

  Raises:
    InputError: the family cannot say some field of `config`.
  """
  row = FAMILIES[family_of({"model_type": family})]
  raw = {"model_type": family} | {
    key: getattr(config, name) for name, key in row.keys.items()
  }
  key = row.keys["activation"]
  raw[key] = _ACTIVATION_NAMES.get(raw[key], raw[key])
  if config.rope_theta is not None:
    raw |= {"rope_theta": config.rope_theta}
    raw |= {"rope_scaling": _rope_scaling_to_hf(config.rope_scaling)}
  windows = _windows_to_hf(config)
  raw |= {key: value for key, value in windows.items() if key in row.defaults}
  raw["torch_dtype"] = config.param_dtype
  back = dataclasses.replace(
    from_hf(raw, dtype=config.dtype, param_dtype=config.param_dtype),
    remat=config.remat,
  )
  lost = [
    f"{f.name}={getattr(config, f.name)!r}"
    for f in dataclasses.fields(config)
    if getattr(config, f.name) != getattr(back, f.name)
  ]
  if lost:
    raise InputError(
      f"a {family} config cannot say {', '.join(lost)}; choose another family"
    )
  return raw


_KINDS = {field.name: field.type for field in dataclasses.fields(DecoderConfig)}
_DERIVED_KEYS = ("num_key_value_heads", "head_dim", "n_inner")


def _value(raw: Json, key: str, kind: Any = float) -> Any:
  """A key of the file, checked where it is a size, a number or a switch."""
  if key not in raw:
    raise InputError(f"config.json has no {key!r}; expected it, check the file")
  value = raw[key]
  if value is None and key in _DERIVED_KEYS:
    return None
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  if kind is int and not (is_number and value == int(value) and value > 0):
    raise InputError(f"{key} is {value!r} in config.json; expected a size >= 1")
  if kind is float and not is_number:
    raise InputError(f"{key} is {value!r} in config.json; expected a number")
  if kind is bool and not isinstance(value, bool):
    raise InputError(f"{key} is {value!r} in config.json; expected a boolean")
  return value


def _derived(fields: dict[str, Any]) -> dict[str, Any]:
  """Fills sizes that follow from others and checks that they divide."""
  width, num_heads = fields["width"], fields["num_heads"]
  if fields.get("num_kv_heads") is None:
    fields["num_kv_heads"] = num_heads
  if fields.get("head_width") is None:
    if width % num_heads:
      raise InputError(f"width {width} is not a multiple of {num_heads} heads")
    fields["head_width"] = width // num_heads
  if fields["mlp_width"] is None:
    fields["mlp_width"] = 4 * width
  if num_heads % fields["num_kv_heads"]:
    raise InputError(
      f"{num_heads} heads are not a multiple of {fields['num_kv_heads']} "
      "key-value heads; check config.json"
    )
  return fields


def _rope(raw: Json) -> tuple[float, RopeScaling | None]:
  """Base and scaling, from transformers 5's one dict or 4's two keys."""
  rope = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
  rope = {"rope_theta": raw.get("rope_theta", 10_000.0), **rope}
  theta = float(_value(rope, "rope_theta"))
  kind = rope.get("rope_type", rope.get("type", "default"))
  if kind not in _ROPE_TYPES or rope.get("partial_rotary_factor", 1.0) != 1.0:
    raise InputError(
      f"rotary embedding {rope!r} is not supported; expected rope_type "
      f"one of {', '.join(_ROPE_TYPES)} on all channels"
    )
  if kind == "default":
    return theta, None
  if kind == "linear":
    return theta, RopeScaling("linear", float(_value(rope, "factor")))
  return theta, RopeScaling(
    "llama3",
    factor=float(_value(rope, "factor")),
    low_freq_factor=float(_value(rope, "low_freq_factor")),
    high_freq_factor=float(_value(rope, "high_freq_factor")),
    original_max_length=rope.get(
      "original_max_position_embeddings", raw["max_position_embeddings"]
    ),
  )


def _rope_scaling_to_hf(scaling: RopeScaling | None) -> dict | None:
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


def _windows_to_hf(config: DecoderConfig) -> dict[str, Any]:
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
