"""A run's directory: one config, stages that are done or not, seconds."""

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from qsharp_jax.core import files
from qsharp_jax.core.errors import InputError


class Workdir:
  """The directory of one run, bound to one configuration."""

  def __init__(self, path: str | os.PathLike, config: Mapping[str, Any]):
    """Opens a directory, or begins it.

    Args:
      path: the directory, made if missing.
      config: everything that decides the results, as plain data.

    Raises:
      InputError: the directory belongs to another configuration, or holds
        files of something else.
    """
    self.path = pathlib.Path(path).expanduser().resolve()
    file = self.path / "config.json"
    plain = json.loads(json.dumps(config))
    if file.exists():
      _check_same(self.path, json.loads(file.read_text()), plain)
    elif self.path.exists() and any(self.path.iterdir()):
      raise InputError(
        f"{self.path} is not empty and holds no run; expected an empty "
        "directory or one of the same run: choose another --workdir"
      )
    else:
      files.replace(file, json.dumps(plain, indent=2, sort_keys=True) + "\n")

  @contextlib.contextmanager
  def stage(self, name: str) -> Iterator[bool]:
    """Times a stage and marks it done when it ends without an error.

    Yields:
      Whether there is anything to do: False once the stage is done. What is
      inside must itself go on where an interrupted attempt stopped.
    """
    file = self.path / "stages" / f"{name}.json"
    if file.exists():
      yield False
      return
    started = time.monotonic()
    yield True
    seconds = time.monotonic() - started
    files.replace(file, json.dumps({"seconds": round(seconds, 2)}))

  def seconds(self) -> dict[str, float]:
    """Wall-clock seconds of each finished stage, in the order they ended."""
    stages = sorted(
      (self.path / "stages").glob("*.json"), key=lambda f: f.stat().st_mtime
    )
    return {f.stem: json.loads(f.read_text())["seconds"] for f in stages}


def _check_same(
  path: pathlib.Path, old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
  before, now = _flat(old), _flat(new)
  differing = [
    f"{key} {before.get(key)!r} there, {now.get(key)!r} here"
    for key in sorted(before.keys() | now.keys())
    if before.get(key) != now.get(key)
  ]
  if differing:
    raise InputError(
      f"{path} belongs to another config ({'; '.join(differing[:5])}"
      f"{'; …' * (len(differing) > 5)}); choose another --workdir or the same "
      "config"
    )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
  """Nested keys joined by dots."""
  flat = {}
  for key, value in tree.items():
    if isinstance(value, Mapping):
      flat |= _flat(value, f"{prefix}{key}.")
    else:
      flat[f"{prefix}{key}"] = value
  return flat
