"""The one table of fine-tuning methods, by name.

Defaults are the papers', for models of billions of parameters; small ones want
larger steps.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import (
  a_star_po,
  base,
  grpo,
  ppo,
  preference,
  rloo,
  sft,
)

DEFAULTS: dict[str, base.Settings] = {
  "sft": sft.Supervised(),
  "rloo": rloo.RLOO(),
  "reinforce": rloo.RLOO(),  # what it was called first
  "grpo": grpo.GRPO(),
  "dr_grpo": grpo.GRPO(is_dr=True),
  "ppo": ppo.PPO(),
  "dpo": preference.Preference(),
  "rpo": preference.Preference(loss="rpo"),
  "cpl": preference.Preference(loss="cpl"),
  "rto": ppo.RTO(),
  "a_star_po": a_star_po.AStarPO(),
}


def make(
  name: str, changes: Mapping[str, Any], *, seed: int = 0
) -> base.Settings:
  """Settings of a method: its defaults with some changes.

  Args:
    name: a key of `DEFAULTS`.
    changes: field -> value; `fit` and, of RTO, `dpo` are such mappings
      themselves.
    seed: of data order and sampling, in this policy and those that it needs.

  Raises:
    InputError: an unknown method or field, or a value that means nothing.
  """
  if name not in DEFAULTS:
    raise InputError(
      f"there is no fine-tuning method {name!r}; expected one of "
      f"{', '.join(DEFAULTS)}"
    )
  return _changed(DEFAULTS[name], changes, f"baselines.{name}").seeded(seed)


def _changed(settings: Any, changes: Mapping[str, Any], where: str) -> Any:
  """A dataclass with changes, those of its own dataclasses included."""
  if not isinstance(changes, Mapping):
    raise InputError(
      f"{where} is {errors.short(changes)}; expected fields and their values"
    )
  fields = {field.name for field in dataclasses.fields(settings)}
  found = {}
  for name, value in changes.items():
    if name not in fields:
      raise InputError(
        f"{where} has no field {errors.short(name)}; expected one of "
        f"{', '.join(sorted(fields))}"
      )
    default = getattr(settings, name)
    is_nested = dataclasses.is_dataclass(default)
    if not is_nested and not _is_like(value, default):
      raise InputError(
        f"{where}.{name} is {errors.short(value)}; expected a value like its "
        f"default, {default!r}"
      )
    is_count = where.endswith(".fit") and type(default) is int and default > 0
    if is_count and value < 1:
      raise InputError(f"{where}.{name} is {value}; expected at least 1")
    found[name] = (
      _changed(default, value, f"{where}.{name}") if is_nested else value
    )
  return dataclasses.replace(settings, **found)


def _is_like(value: Any, default: Any) -> bool:
  """Whether a value is of the kind of a default."""
  if isinstance(default, bool) or isinstance(value, bool):
    return isinstance(value, bool) and isinstance(default, bool | None)
  if isinstance(default, float):
    return isinstance(value, int | float) and math.isfinite(value)
  return default is None or isinstance(value, type(default))
