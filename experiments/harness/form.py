"""The form of a config: a user's own file may return anything."""

from typing import Any

import ml_collections

from experiments.configs import base
from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError

_NUMBER = (int, float)
# By the type of a field of `base.paper`: what it may be, and how it is called.
_KINDS: dict[type, tuple[tuple[type, ...], str]] = {
  bool: ((bool,), "True or False"),
  int: ((int,), "a whole number"),
  float: (_NUMBER, "a number"),
  str: ((str,), "a text"),
  tuple: ((tuple, list), "several values in parentheses"),
  list: ((tuple, list), "several values in parentheses"),
  dict: ((dict,), "a section"),
}


def check_plain(config: Any) -> None:
  """Refuses what is no config, or holds what no file can keep.

  Raises:
    InputError: names the field.
  """
  if not isinstance(config, ml_collections.ConfigDict):
    raise InputError(
      f"get_config returned {errors.short(config)}; expected a ConfigDict, "
      "such as experiments.configs.base.paper() makes"
    )
  _check_plain(config.to_dict(), "config")


def check(config: ml_collections.ConfigDict) -> None:
  """Refuses a config without the fields that every experiment reads.

  Raises:
    InputError: names the first field that is missing or of another kind.
  """
  _check_like(base.paper().to_dict(), config.to_dict(), "")


def _check_plain(value: Any, name: str) -> None:
  if isinstance(value, dict):
    for key, entry in value.items():
      _check_plain(entry, f"{name}.{key}")
  elif isinstance(value, list | tuple):
    for i, entry in enumerate(value):
      _check_plain(entry, f"{name}[{i}]")
  elif isinstance(value, str):
    try:
      value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
      raise InputError(
        f"{name} is {errors.short(value)}; expected a text of whole characters"
      ) from None
  elif value is not None and not isinstance(value, bool | int | float):
    raise InputError(
      f"{name} is {errors.short(value)}; expected numbers, texts, None, and "
      "lists and sections of them"
    )


def _check_like(wanted: dict, found: dict, section: str) -> None:
  for key, example in wanted.items():
    name = f"{section}{key}"
    if key not in found:
      raise InputError(
        f"the config has no field {name!r}; expected all fields of "
        "experiments.configs.base.paper(): start from that"
      )
    value = found[key]
    if example is None:
      continue
    types, kind = _KINDS[type(example)]
    is_odd = isinstance(value, bool) and bool not in types
    if is_odd or not isinstance(value, types):
      raise InputError(f"{name} is {errors.short(value)}; expected {kind}")
    if isinstance(example, dict):
      _check_like(example, value, f"{name}.")
