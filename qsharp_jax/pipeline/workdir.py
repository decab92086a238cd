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
from qsharp_jax.sharding import processes

# Folder in which processes say that they have started, before any stage.
ROLL_CALL = "processes"


class Workdir:
  """The directory of one run, bound to one configuration."""

  def __init__(self, path: str | os.PathLike, config: Mapping[str, Any]):
    """Opens a directory; the first stage writes the configuration into it.

    Until then, inputs that turn out to be wrong can be repaired and the same
    directory used again.

    Args:
      path: the directory, made when it is needed.
      config: everything that decides the results, as plain data.

    Raises:
      InputError: the directory belongs to another configuration, or holds
        files of something else.
    """
    self.path = pathlib.Path(path).expanduser().resolve()
    self._content = json.dumps(config, indent=2, sort_keys=True) + "\n"
    if self._file.exists():
      _check_same(self.path, _read(self._file), json.loads(self._content))
    elif self._is_foreign():
      raise InputError(
        f"{self.path} is not an empty directory and holds no run; expected an "
        "empty directory or one of the same run: choose another --workdir"
      )

  @property
  def compiled(self) -> pathlib.Path:
    """Folder for compiled programs, shared with the runs beside this one."""
    return self.path.parent / "compiled"

  @contextlib.contextmanager
  def stage(self, name: str, *, is_whole: bool = True) -> Iterator[bool]:
    """Times a stage and marks it done when it ends without an error.

    Args:
      name: of the stage.
      is_whole: False when some of what the stage made is gone again, so that it
        is due whatever its mark says.

    Yields:
      Whether there is anything to do: False once the stage is done. What is
      inside must itself go on where an interrupted attempt stopped.
    """
    with self.stages({name: is_whole}) as due:
      yield bool(due)

  @contextlib.contextmanager
  def stages(self, are_whole: Mapping[str, bool]) -> Iterator[list[str]]:
    """Stages that are done together; each gets an equal share of the time.

    Args:
      are_whole: by the name of the stage, see `stage`.

    Yields:
      The names of those that are due.
    """
    due = [
      name
      for name, is_whole in are_whole.items()
      if not (self._mark(name).exists() and is_whole)
    ]
    label = ", ".join(are_whole)
    due = processes.agree(f"what is due of {label}?", due)
    if not due:
      yield []
      return
    if processes.is_main() and not self._file.exists():
      files.replace(self._file, self._content)
    started = time.monotonic()
    yield due
    processes.barrier(f"end of {label}")
    seconds = round((time.monotonic() - started) / len(due), 2)
    if processes.is_main():
      for name in due:
        files.replace(self._mark(name), json.dumps({"seconds": seconds}))

  def seconds(self) -> dict[str, float]:
    """Wall-clock seconds of each finished stage, in the order they ended."""
    stages = sorted(
      (self.path / "stages").glob("*.json"), key=lambda f: f.stat().st_mtime
    )
    return {f.stem: json.loads(f.read_text())["seconds"] for f in stages}

  def _mark(self, stage: str) -> pathlib.Path:
    return self.path / "stages" / f"{stage}.json"

  @property
  def _file(self) -> pathlib.Path:
    return self.path / "config.json"

  def _is_foreign(self) -> bool:
    """Whether there is something that no run left behind."""
    if not self.path.exists():
      return False
    if not self.path.is_dir():
      return True
    return any(entry.name != ROLL_CALL for entry in self.path.iterdir())


def _read(file: pathlib.Path) -> Mapping[str, Any]:
  """A configuration; what is none differs from every other."""
  try:
    content = json.loads(file.read_text())
  except ValueError:
    content = None
  return content if isinstance(content, dict) else {}


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
