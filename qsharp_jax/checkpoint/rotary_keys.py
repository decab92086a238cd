"""Keys of `config.json` about rotary embeddings, read and written."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from qsharp_jax.checkpoint.config_keys import Json, value
from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.models import DecoderConfig, RopeScaling

# What transformers reads of a rotary embedding. Keys of another kind than the
# one named do nothing there either.
_KEYS = {
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
_LENGTH = "original_max_position_embeddings"
_FRACTION = "partial_rotary_factor"
_ATTENTIONS = ("sliding_attention", "full_attention")


@dataclasses.dataclass(frozen=True)
class RotaryKeys:
  """What a family calls its rotary embedding's numbers.

  Attributes:
    theta: key of the base.
    default_theta: the base where no key says it.
    fraction: key of the share of channels that turn; None: all do.
    default_fraction: the share where no key says it.
    local: key of the base on layers with a window; None: as on the others.
    kinds: supported values of `rope_type`.
  """

  theta: str = "rope_theta"
  default_theta: float = 10_000.0
  fraction: str | None = None
  default_fraction: float = 1.0
  local: str | None = None
  kinds: tuple[str, ...] = ("default", "linear", "llama3", "yarn")

  def known(self) -> set[str]:
    """Every key of `config.json` that is read."""
    own = {self.theta, self.fraction, self.local} - {None}
    return own | {"rope_scaling", "rope_parameters", _LENGTH}


def read(raw: Json, keys: RotaryKeys) -> dict[str, Any]:
  """Fields of `DecoderConfig`, from transformers 5's one dict or 4's keys.

  Where both are given transformers reads `rope_scaling` and forgets the other;
  so do we, unless the other contradicts it.

  Raises:
    InputError: a kind, a key or a value that is not supported.
  """
  if keys.local is None:
    theta, scaling, fraction = _read_one(raw, keys)
    local = None
  else:
    by_kind = _by_kind(raw)
    full = raw | {"rope_parameters": by_kind.get("full_attention")}
    theta, scaling, fraction = _read_one(full, keys)
    sliding = raw | {"rope_parameters": by_kind.get("sliding_attention")}
    plain = RotaryKeys(keys.local, 10_000.0, kinds=("default",))
    local, *_ = _read_one(sliding | {"rope_scaling": None}, plain)
  return {
    "rope_theta": theta,
    "rope_scaling": scaling,
    "rotary_fraction": fraction,
    "local_rope_theta": local,
  }


def _by_kind(raw: Json) -> Json:
  """The dicts of both kinds of layer, of a family that has two."""
  both = raw.get("rope_parameters") or {}
  if not isinstance(both, Mapping) or not set(both) <= set(_ATTENTIONS):
    raise InputError(
      f"rope_parameters is {errors.short(both)} in config.json; expected "
      f"{' and '.join(_ATTENTIONS)}, with a rotary embedding each"
    )
  return both


def _read_one(
  raw: Json, keys: RotaryKeys
) -> tuple[float, RopeScaling | None, float]:
  """Base, scaling and share of one kind of layer."""
  rope = _rope(raw, keys)
  kind = rope.get("rope_type", rope.get("type", "default"))
  is_whole = rope[_FRACTION] == 1.0
  if kind not in keys.kinds or (keys.fraction is None and not is_whole):
    raise _unsupported(rope, keys)
  theta, fraction = float(value(rope, "rope_theta")), value(rope, _FRACTION)
  if fraction > 1:
    raise InputError(
      f"{keys.fraction} is {fraction} in config.json; expected at most 1"
    )
  scaling = {
    "default": lambda rope: None,
    "linear": lambda rope: RopeScaling("linear", float(value(rope, "factor"))),
    "llama3": _llama3,
    "yarn": _yarn,
  }[kind](rope)
  return theta, scaling, float(fraction)


def _llama3(rope: Json) -> RopeScaling:
  low, high = (
    float(value(rope, f"{name}_freq_factor")) for name in ("low", "high")
  )
  if low >= high:
    raise InputError(
      f"low_freq_factor {low} is not below high_freq_factor {high}; expected "
      "a rotary embedding of the kind llama3"
    )
  factor, length = float(value(rope, "factor")), value(rope, _LENGTH, int)
  return RopeScaling("llama3", factor, low, high, length)


def _yarn(rope: Json) -> RopeScaling:
  """Where nothing says it, what turns is lengthened as its paper says."""
  rope = {"beta_fast": 32.0, "beta_slow": 1.0, "truncate": True} | rope
  factor = float(value(rope, "factor"))

  def stretch(weight):
    return 0.1 * weight * math.log(max(factor, 1.0)) + 1.0

  length = stretch(1.0)
  if "attention_factor" in rope:
    length = float(value(rope, "attention_factor"))
  elif rope.get("mscale") and rope.get("mscale_all_dim"):
    both = (value(rope, key) for key in ("mscale", "mscale_all_dim"))
    above, below = map(stretch, both)
    length = above / below
  return RopeScaling(
    "yarn",
    factor,
    original_max_length=value(rope, _LENGTH, int),
    beta_fast=float(value(rope, "beta_fast")),
    beta_slow=float(value(rope, "beta_slow")),
    truncate=value(rope, "truncate", bool),
    attention_factor=length,
  )


def _rope(raw: Json, keys: RotaryKeys) -> dict[str, Any]:
  """The one dict of the rotary embedding, with what stands beside it."""
  old, new = raw.get("rope_scaling"), raw.get("rope_parameters")
  for rope in (old, new):
    if rope and not isinstance(rope, Mapping):
      raise _unsupported(rope, keys)
    # A dict in the dict is a rotation of its own for each kind of layer.
    if rope and not {k for k, x in rope.items() if x is not None} <= _KEYS:
      raise _unsupported(rope, keys)
  old, new = (
    {k: x for k, x in (rope or {}).items() if x is not None}
    for rope in (old, new)
  )
  beside = {
    "rope_theta": raw.get(keys.theta, keys.default_theta),
    _FRACTION: raw.get(keys.fraction or _FRACTION, keys.default_fraction),
    _LENGTH: raw["max_position_embeddings"],
  }
  rope = beside | (old or new)
  if raw.get(_LENGTH) is not None:
    rope[_LENGTH] = raw[_LENGTH]
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


def _unsupported(rope: Any, keys: RotaryKeys) -> InputError:
  of_all = "" if keys.fraction else " on all channels"
  return InputError(
    f"rotary embedding {errors.short(rope)} is not supported; expected "
    f"rope_type one of {', '.join(keys.kinds)}{of_all}"
  )


def write(config: DecoderConfig, keys: RotaryKeys) -> dict[str, Any]:
  """The keys that `read` reads back, in the form of transformers 4."""
  raw = {keys.theta: config.rope_theta}
  raw["rope_scaling"] = _scaling_to_hf(config.rope_scaling)
  if keys.fraction is not None:
    raw[keys.fraction] = config.rotary_fraction
  if keys.local is not None:
    raw[keys.local] = config.local_rope_theta
  return raw


def _scaling_to_hf(scaling: RopeScaling | None) -> dict[str, Any] | None:
  if scaling is None:
    return None
  own = {
    "linear": {},
    "llama3": {
      "low_freq_factor": scaling.low_freq_factor,
      "high_freq_factor": scaling.high_freq_factor,
    },
    "yarn": {
      "beta_fast": scaling.beta_fast,
      "beta_slow": scaling.beta_slow,
      "truncate": scaling.truncate,
      "attention_factor": scaling.attention_factor,
    },
  }[scaling.kind]
  if scaling.kind != "linear":
    own |= {_LENGTH: scaling.original_max_length}
  return {"rope_type": scaling.kind, "factor": scaling.factor} | own
