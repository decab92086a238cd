"""The ids that end an answer, as a model's configuration files name them."""

import pathlib
from typing import Any

from qsharp_jax.core import errors, files

_FILES = ("generation_config.json", "config.json")
_KEY = "eos_token_id"


def read(path: str | pathlib.Path) -> set[int]:
  """Every id named by `generation_config.json` or `config.json`.

  Args:
    path: a model directory, or a Hub id.

  Raises:
    InputError: a file that is no JSON object, or ids that are none of the
      model's vocabulary.
  """
  found = {name: settings(path, name) for name in _FILES}
  size = found["config.json"].get("vocab_size")
  ids = set()
  for name, content in found.items():
    ids |= _ids(content.get(_KEY), f"{pathlib.Path(path) / name}", size)
  return ids


def _ids(value: Any, file: str, vocab_size: Any) -> set[int]:
  """The ids in one file: none, one or a list."""
  if value is None or value in ([], {}):
    return set()
  ids = value if isinstance(value, list) else [value]
  is_known = type(vocab_size) is int
  bound = vocab_size if is_known else float("inf")
  if not all(type(i) is int and 0 <= i < bound for i in ids):
    most = f"to {vocab_size - 1}" if is_known else "upwards"
    raise errors.InputError(
      f"{file}: {_KEY} is {errors.short(value)}; expected one or several token "
      f"ids from 0 {most}"
    )
  return set(ids)


def settings(path: str | pathlib.Path, name: str) -> dict[str, Any]:
  """A configuration file's content, empty where there is none.

  Args:
    path: a model directory, or a Hub id.
    name: such as "config.json".

  Raises:
    InputError: a file that is no JSON object.
  """
  file = pathlib.Path(path) / name
  if not pathlib.Path(path).is_dir():
    from transformers.utils import hub  # slow to import

    with errors.foreign(f"{path} has no readable {name}", "check the name"):
      file = hub.cached_file(
        str(path),
        name,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
      )
  if file is None or not pathlib.Path(file).is_file():
    return {}
  return files.read_json_object(file)
