"""Hugging Face `config.json` <-> `DecoderConfig`, one table row a family."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from qsharp_jax.checkpoint import config_keys, harmless_keys
from qsharp_jax.checkpoint.config_keys import Json
from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.models import DecoderConfig

_ACTIVATIONS = {
  "silu": "silu",
  "swish": "silu",
  "gelu": "gelu",
  "gelu_new": "gelu_tanh",
  "gelu_pytorch_tanh": "gelu_tanh",
  "relu": "relu",
}
_ACTIVATION_NAMES = {"gelu_tanh": "gelu_new"}
_KINDS = {field.name: field.type for field in dataclasses.fields(DecoderConfig)}


@dataclasses.dataclass(frozen=True)
class Family:
  """How one family's `config.json` is read and written.

  Attributes:
    language_model: transformers' class of language models.
    classifier: transformers' class of what we save V-type value models as.
    keys: field of `DecoderConfig` -> key of `config.json`.
    defaults: values that transformers assumes for keys that are absent.
    fixed: fields of `DecoderConfig` that no key says.
    only: switches supported at this one value.
    windows: reads the sliding windows.
  """

  language_model: str
  classifier: str
  keys: Mapping[str, str]
  defaults: Json
  fixed: Json
  only: Json
  windows: Callable[[Json], config_keys.Windows] = config_keys.no_windows

  def known(self) -> set[str]:
    """Every key of `config.json` that is read."""
    rotary = set() if "rope_theta" in self.fixed else config_keys.ROTARY
    return {*self.keys.values(), *self.defaults, *self.only, *rotary}


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
  "init_std": "initializer_range",
}
_BIAS_KEYS = {"qkv_bias": "attention_bias", "output_bias": "attention_bias"}
_ROTARY_DEFAULTS = {
  "num_key_value_heads": None,
  "head_dim": None,
  "rms_norm_eps": 1e-6,
  "hidden_act": "silu",
  "tie_word_embeddings": False,
  "initializer_range": 0.02,
}
_QWEN_DEFAULTS = _ROTARY_DEFAULTS | {
  "use_sliding_window": False,
  "sliding_window": 4096,
  "max_window_layers": 28,
  "layer_types": None,
}
_ONLY = {
  "quantization_config": None,
  "partial_rotary_factor": 1.0,
  "is_causal": True,
  "is_encoder_decoder": False,
  "add_cross_attention": False,
}

FAMILIES = {
  "gpt2": Family(
    language_model="GPT2LMHeadModel",
    classifier="GPT2ForSequenceClassification",
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
      "init_std": "initializer_range",
    },
    defaults={
      "n_inner": None,
      "layer_norm_epsilon": 1e-5,
      "activation_function": "gelu_new",
      "tie_word_embeddings": True,
      "initializer_range": 0.02,
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
    },
  ),
  "llama": Family(
    language_model="LlamaForCausalLM",
    classifier="LlamaForSequenceClassification",
    keys=_ROTARY_KEYS | _BIAS_KEYS | {"mlp_bias": "mlp_bias"},
    defaults=_ROTARY_DEFAULTS | {"attention_bias": False, "mlp_bias": False},
    fixed={},
    only=_ONLY,
  ),
  "mistral": Family(
    language_model="MistralForCausalLM",
    classifier="MistralForSequenceClassification",
    keys=_ROTARY_KEYS,
    defaults=_ROTARY_DEFAULTS
    | {"num_key_value_heads": 8, "sliding_window": 4096},
    fixed={},
    only=_ONLY,
    windows=config_keys.one_window,
  ),
  "qwen2": Family(
    language_model="Qwen2ForCausalLM",
    classifier="Qwen2ForSequenceClassification",
    keys=_ROTARY_KEYS,
    defaults=_QWEN_DEFAULTS,
    fixed={"qkv_bias": True},
    only=_ONLY,
    windows=config_keys.windows_by_layer,
  ),
  "qwen3": Family(
    language_model="Qwen3ForCausalLM",
    classifier="Qwen3ForSequenceClassification",
    keys=_ROTARY_KEYS | _BIAS_KEYS,
    defaults=_QWEN_DEFAULTS | {"head_dim": 128, "attention_bias": False},
    fixed={"qk_norm": True},
    only=_ONLY,
    windows=config_keys.windows_by_layer,
  ),
}


def family_of(config: Json) -> str:
  """Name of the family that a `config.json` belongs to.

  Raises:
    InputError: not a supported family.
  """
  name = config.get("model_type")
  if not isinstance(name, str) or name not in FAMILIES:
    raise InputError(
      f"model_type {errors.short(name)} is not supported; expected one of "
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
    InputError: an unsupported family, rotary type, activation, switch or key,
      or a missing or impossible size; the message names it.
  """
  family = FAMILIES[family_of(config)]
  for key, value in family.only.items():
    if config.get(key, value) != value:
      raise InputError(
        f"{key}={errors.short(config[key])} is not supported; expected "
        f"{value!r}"
      )
  unknown = harmless_keys.others(config, family.known())
  if unknown:
    key = unknown[0]
    raise InputError(
      f"config.json says {errors.short({key: config[key]})}, which is no key "
      f"of {config['model_type']}; take it out of the file if it changes "
      "nothing that the model computes"
    )
  raw = {**family.defaults, **config}
  fields = {
    name: config_keys.value(raw, key, _KINDS[name])
    for name, key in family.keys.items()
  }
  fields = _derived(fields | family.fixed)
  if fields["activation"] not in _ACTIVATIONS:
    raise InputError(
      f"activation {errors.short(fields['activation'])} is not supported; "
      "expected one of "
      f"{', '.join(sorted(_ACTIVATIONS))}"
    )
  fields["activation"] = _ACTIVATIONS[fields["activation"]]
  if "rope_theta" not in family.fixed:
    fields["rope_theta"], fields["rope_scaling"] = config_keys.rope(raw)
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
    raw |= {"rope_scaling": config_keys.rope_scaling_to_hf(config.rope_scaling)}
  windows = config_keys.windows_to_hf(config)
  raw |= {key: value for key, value in windows.items() if key in row.defaults}
  raw["torch_dtype"] = config.param_dtype
  back = dataclasses.replace(
    from_hf(raw, dtype=config.dtype, param_dtype=config.param_dtype),
    # How it is drawn and run, not what it is.
    embedding_std=config.embedding_std,
    remat=config.remat,
    kv_copies=config.kv_copies,
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
  if fields.get("rope_theta", 1) and fields["head_width"] % 2:
    raise InputError(
      f"a head is {fields['head_width']} channels wide; expected an even "
      "number, which rotary embeddings turn in pairs; check config.json"
    )
  if num_heads % fields["num_kv_heads"]:
    raise InputError(
      f"{num_heads} heads are not a multiple of {fields['num_kv_heads']} "
      "key-value heads; check config.json"
    )
  return fields
