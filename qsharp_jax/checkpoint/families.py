"""Hugging Face `config.json` <-> `DecoderConfig`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from qsharp_jax.checkpoint import (
  config_keys,
  family_table,
  harmless_keys,
  rotary_keys,
)
from qsharp_jax.checkpoint.config_keys import Json
from qsharp_jax.checkpoint.family import Family
from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.models import DecoderConfig

FAMILIES = family_table.FAMILIES
_ACTIVATIONS = {
  "silu": "silu",
  "swish": "silu",
  "gelu": "gelu",
  "gelu_new": "gelu_tanh",
  "gelu_pytorch_tanh": "gelu_tanh",
  "relu": "relu",
}
_KINDS = {
  field.name: float if field.type == float | None else field.type
  for field in dataclasses.fields(DecoderConfig)
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


def text_part(config: Json) -> Json:
  """The language model's part of a `config.json` that describes more.

  Gemma 3 of 4B and above has images too; any other file is returned as it is.

  Raises:
    InputError: it says nothing of the language model.
  """
  if config.get("model_type") != "gemma3":
    return config
  text = config.get("text_config")
  if not isinstance(text, Mapping):
    raise InputError(
      f"text_config is {errors.short(text)} in config.json; expected the "
      "language model's part of gemma3, check the file"
    )
  whole = harmless_keys.HARMLESS | {"tie_word_embeddings"}
  beside = {key: x for key, x in config.items() if key in whole}
  return beside | text | {"model_type": "gemma3_text"}


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
  _check_switches(config, family)
  raw = _with_defaults(config, family)
  fields = {
    name: config_keys.value(raw, key, _KINDS[name])
    for name, key in family.keys.items()
  }
  if family.rotary is not None:
    fields |= rotary_keys.read(raw, family.rotary)
  fields = _derived(fields | family.fixed)
  if fields["activation"] not in _ACTIVATIONS:
    raise InputError(
      f"activation {errors.short(fields['activation'])} is not supported; "
      "expected one of "
      f"{', '.join(sorted(_ACTIVATIONS))}"
    )
  fields["activation"] = _ACTIVATIONS[fields["activation"]]
  return DecoderConfig(
    **fields,
    sliding_windows=family.windows(raw),
    dtype=dtype,
    param_dtype=param_dtype,
  )


def _check_switches(config: Json, family: Family) -> None:
  """Raises an InputError that names a switch or a key that is not supported."""
  for key, value in family.only.items():
    if config.get(key, value) != value:
      raise InputError(
        f"{key}={errors.short(config[key])} is not supported; expected "
        f"{value!r}"
      )
  for key in family.off:
    if config.get(key) not in (None, False):
      raise InputError(
        f"{key}={errors.short(config[key])} is not supported; expected none"
      )
  unknown = harmless_keys.others(config, family.known())
  if unknown:
    key = unknown[0]
    raise InputError(
      f"config.json says {errors.short({key: config[key]})}, which is no key "
      f"of {config['model_type']}; take it out of the file if it changes "
      "nothing that the model computes"
    )


def _with_defaults(config: Json, family: Family) -> Json:
  """The file's content and what it leaves unsaid, in today's spelling.

  Raises:
    InputError: a key and its older name that contradict each other.
  """
  raw = {**family.defaults, **config}
  for key, names in family.renamed.items():
    if isinstance(raw[key], str):
      raw[key] = names.get(raw[key], raw[key])
  for old, key in family.twins.items():
    if raw.get(old) not in (None, raw[key]):
      raise InputError(
        f"{old} is {errors.short(raw[old])} in config.json and {key} "
        f"{errors.short(raw[key])}; expected the same, check the file"
      )
  return raw


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
  same = [row.defaults[key], *_ACTIVATIONS]
  raw[key] = next(x for x in same if _ACTIVATIONS[x] == config.activation)
  if "query_scalar" in row.keys and config.query_scalar is None:
    raw[row.keys["query_scalar"]] = config.head_width
  if row.rotary is not None and config.rope_theta is not None:
    raw |= rotary_keys.write(config, row.rotary)
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
  if fields.get("query_scalar") == fields["head_width"]:
    fields["query_scalar"] = None
  turned = int(fields["head_width"] * fields.get("rotary_fraction", 1))
  if fields["rope_theta"] is not None and (turned % 2 or not turned):
    raise InputError(
      f"{turned} of a head's {fields['head_width']} channels turn; expected an "
      "even number, as rotary embeddings turn pairs; check config.json"
    )
  if num_heads % fields["num_kv_heads"]:
    raise InputError(
      f"{num_heads} heads are not a multiple of {fields['num_kv_heads']} "
      "key-value heads; check config.json"
    )
  return fields
