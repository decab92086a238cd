"""A run's directory: stages that are done or not, and what each was made from.

A stage is bound to the content that it depends on, not to a configuration: what
a change does not touch is kept, what it touches is refused or made again.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from absl import logging

from qsharp_jax.core import errors, files, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import contents, hold
from qsharp_jax.pipeline import stage as stage_lib
from qsharp_jax.sharding import processes

# Folder in which processes say that they have started, before any stage.
ROLL_CALL = "processes"
_WEIGHTS = "weights.json"


class Workdir:
  """The directory of one run."""

  def __init__(self, path: str | os.PathLike, config: Mapping[str, Any]):
    """Opens a directory; the first stage writes the configuration into it.

    Args:
      path: the directory, made when it is needed; local or in a bucket.
      config: the configuration as plain data, kept for people and tools.

    Raises:
      InputError: the directory holds files of something else, or is in a
        bucket that cannot be reached.
    """
    self.path = places.absolute(path)
    self._content = json.dumps(config, indent=2, sort_keys=True) + "\n"
    self._passed: list[str] = []
    self._unreadable: set[places.Path] = set()
    with places.reached(self.path):
      self._weights = contents.Weights(self.path / _WEIGHTS)
      has_config, has_marks = self._file.exists(), any(self._marks())
      is_foreign = not has_config and not has_marks and self._is_foreign()
    if has_config and not has_marks:
      files.read_json_object(self._file)
    elif has_marks and not has_config and processes.is_main():
      logging.warning("%s is gone; it is written again", self._file)
    elif is_foreign:
      raise InputError(
        f"{self.path} is not an empty directory and holds no run; expected an "
        "empty directory or one of the same run: choose another --workdir"
      )

  @property
  def compiled(self) -> places.Path:
    """Folder for compiled programs, shared with the runs beside this one."""
    is_bucket = places.is_remote(self.path) and len(self.path.parts) < 4
    return (self.path if is_bucket else self.path.parent) / "compiled"

  @contextlib.contextmanager
  def stages(self, stages: Sequence[stage_lib.Stage]) -> Iterator[list[str]]:
    """Times stages done together, and marks them done if there is no error.

    Each gets an equal share of the time.

    Yields:
      The names of those that are due. What is inside must itself go on where an
      interrupted attempt stopped.

    Raises:
      InputError: one was made from something else that was given.
    """
    label = ", ".join(stage.name for stage in stages)
    self._passed += [stage.name for stage in stages]
    due = self._begin(stages, label)
    if not due:
      yield []
      return
    started = time.monotonic()
    yield due
    processes.barrier(f"end of {label}")
    seconds = round((time.monotonic() - started) / len(due), 2)
    if processes.is_main():
      for stage in stages:
        if stage.name in due:
          self._write(stage, seconds)

  def digest(self, stage: str) -> str:
    """Of what a stage was made from; "" where it has not begun."""
    made_from = (self._read(stage) or {}).get("made_from")
    return "" if made_from is None else contents.digest(made_from)

  def digests_of(self, run_stages: Callable[[], object]) -> dict[str, str]:
    """Digests of all stages that a call passes through, done or due."""
    before = len(self._passed)
    run_stages()
    return {name: self.digest(name) for name in self._passed[before:]}

  def weights(self, directory: str | os.PathLike) -> str:
    """Digest of a model's files; read by the main process, and once."""
    return self._weights.digest(directory) if processes.is_main() else ""

  def seconds(self) -> dict[str, float]:
    """Wall-clock seconds of each finished stage, in the order they ended."""
    marks = [mark for mark in self._marks() if mark.suffix == ".json"]
    marks.sort(key=places.modified)
    found = {mark.stem: self._content_of(mark) or {} for mark in marks}
    return {
      name: content["seconds"]
      for name, content in found.items()
      if isinstance(content.get("seconds"), int | float)
    }

  def _begin(self, stages: Sequence[stage_lib.Stage], label: str) -> list[str]:
    """The stages that are due, made ready; main decides for all processes."""
    refusal, due, changed, unknown = None, [], [], []
    if processes.is_main():
      try:
        for stage in stages:
          old = self._known(stage)
          if old is None and stage.is_there:
            unknown.append(stage)
          self._check_given(stage, old)
          before = None if old is None else old.get("made_from", {})
          is_changed = old is not None and bool(
            stage.differing(before, stage.settings)
          )
          if is_changed:
            changed.append((stage, before))
          is_done = old is not None and "seconds" in old and not is_changed
          if not (is_done and stage.is_whole()):
            due.append(stage.name)
      except InputError as error:
        refusal = str(error)
    refusal, due = processes.agree(f"what is due of {label}?", (refusal, due))
    if refusal is not None:
      raise InputError(refusal)
    if processes.is_main():
      for stage, before in changed:
        self._clear(stage, before)
      for stage in unknown:
        self._set_aside(stage)
      for stage in stages:
        if stage.name in due:
          self._write(stage, None)
      self._keep_config(bool(due))
      self._weights.save()
    if due:
      processes.barrier(f"beginning of {label}")
    return due

  def _known(self, stage: stage_lib.Stage) -> dict[str, Any] | None:
    """The stage's mark; None where nothing is left of what it made."""
    if stage.outputs and not stage.is_there:
      return None
    return self._read(stage.name)

  def _check_given(
    self, stage: stage_lib.Stage, old: Mapping[str, Any] | None
  ) -> None:
    if old is None:
      return
    if "made_from" not in old and stage.made_from:
      raise InputError(
        f"{self.path} was begun by an earlier version, which did not note what "
        f"{stage.name} was made from; choose another --workdir"
      )
    before, now = old.get("made_from", {}), stage.made_from
    differing = stage.differing(before, stage.given)
    if not differing:
      return
    says = [
      stage.explain[name]()
      if name in stage.explain
      else stage_lib.change(name, before.get(name), now[name])
      for name in differing
    ]
    outputs = ", ".join(str(p.relative_to(self.path)) for p in stage.outputs)
    again = f", or delete {outputs} there to make it again" * bool(outputs)
    raise InputError(
      f"{'; '.join(says[:5])}{'; …' * (len(says) > 5)}: {stage.name} of "
      f"{self.path} was made from the former; choose another --workdir{again}"
    )

  def _clear(self, stage: stage_lib.Stage, before: Mapping[str, Any]) -> None:
    """Removes what was made from something else, and says what differs."""
    says = [
      stage_lib.change(name, before.get(name), stage.made_from[name])
      for name in stage.differing(before, stage.settings)
    ]
    logging.warning("%s is made again: %s", stage.name, "; ".join(says))
    for path in stage.outputs:
      places.remove(path)

  def _set_aside(self, stage: stage_lib.Stage) -> None:
    """Makes room where nobody knows any more what things were made from.

    What is expensive to make is kept under another name.
    """
    names = ", ".join(str(p.relative_to(self.path)) for p in stage.outputs)
    kept = " (what is there is kept as .unknown)" * bool(stage.given)
    logging.warning(
      "%s is gone or unreadable, and with it what %s was made from: it is made "
      "again%s",
      self._mark(stage.name),
      names,
      kept,
    )
    for path in stage.outputs:
      if stage.given and path.exists():
        places.remove(path.with_name(f"{path.name}.unknown"))
        path.rename(path.with_name(f"{path.name}.unknown"))
      else:
        places.remove(path)

  def _keep_config(self, is_due: bool) -> None:
    """Writes the newest configuration that made something."""
    kept = self._kept_config()
    if kept is None or (is_due and kept != self._content):
      files.replace(self._file, self._content)

  def _kept_config(self) -> str | None:
    """The configuration that is there, None where it has to be written."""
    if not self._file.exists():
      return None
    try:
      files.read_json_object(self._file)
      return self._file.read_bytes().decode()
    except (InputError, UnicodeDecodeError) as error:
      logging.warning("%s; it is written again", error)
      return None

  def _mark(self, stage: str, ending: str = "json") -> places.Path:
    return self.path / "stages" / f"{stage}.{ending}"

  def _read(self, stage: str) -> dict[str, Any] | None:
    """The mark of a stage that is done, or of one that has begun."""
    for mark in (self._mark(stage), self._mark(stage, "begun")):
      if mark.exists() and (content := self._content_of(mark)) is not None:
        return content
    return None

  def _content_of(self, mark: places.Path) -> dict[str, Any] | None:
    """What a mark says; None, and a warning, if it cannot be read."""
    try:
      content = files.read_json_object(mark)
      if isinstance(content.get("made_from", {}), dict):
        return content
      fault = f"{mark} has made_from {errors.short(content['made_from'])}"
    except InputError as error:
      fault = str(error)
    if mark not in self._unreadable:
      self._unreadable.add(mark)
      logging.warning("%s: what it marks counts as not done", fault)
    return None

  def _marks(self) -> list[places.Path]:
    return sorted(
      mark
      for ending in ("json", "begun")
      for mark in (self.path / "stages").glob(f"*.{ending}")
    )

  def _write(self, stage: stage_lib.Stage, seconds: float | None) -> None:
    """Marks a stage as begun, or as done after so many seconds."""
    done, begun = self._mark(stage.name), self._mark(stage.name, "begun")
    content = {"made_from": stage.made_from}
    mark, other = begun, done
    if seconds is not None:
      content, mark, other = {"seconds": seconds} | content, done, begun
    files.replace(mark, json.dumps(content, indent=1) + "\n")
    other.unlink(missing_ok=True)

  @property
  def _file(self) -> places.Path:
    return self.path / "config.json"

  def _is_foreign(self) -> bool:
    """Whether there is something that no run left behind."""
    if not self.path.exists():
      return False
    if not self.path.is_dir():
      return True
    names = {entry.name for entry in self.path.iterdir()}
    return not names <= {ROLL_CALL, hold.NAME}
