"""Saving and resuming a run: arrays by Orbax, the bookkeeping as JSON."""

import contextlib
import logging
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, Self

import jax
import orbax.checkpoint as ocp
from etils import epath

from qsharp_jax.checkpoint import mirror
from qsharp_jax.core import digests, places
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.sharding import processes

_logger = logging.getLogger(__name__)
_UNFINISHED = "*.orbax-checkpoint-tmp*"  # Orbax renames it when all is written
# Orbax notes there when it renamed the checkpoint; no array hangs on it.
_STAMPED_LATER = ("_CHECKPOINT_METADATA",)


def abstract(state: PyTree, shardings: PyTree) -> PyTree:
  """Shapes, dtypes and places of a state: what `restore_latest` wants.

  Args:
    state: arrays, or their shapes from `jax.eval_shape`.
    shardings: a sharding per leaf; the mesh need not be the one saved from.

  Returns:
    The tree with a `jax.ShapeDtypeStruct` per leaf.
  """
  return jax.tree.map(
    lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
    state,
    shardings,
  )


class Checkpointer:
  """The checkpoints of one run, in one directory.

  Saving copies the arrays off the devices, then writes in the background: the
  state may be donated right after. A failed write is raised by the next call
  of `save`, `wait` or `close`, so end with `close` or use `with`.
  """

  def __init__(self, directory: str | os.PathLike, *, keep: int, every: int):
    """Opens or creates the directory.

    Args:
      directory: local path or bucket address, the same in every process.
      keep: number of newest checkpoints kept.
      every: steps between two checkpoints.

    Raises:
      InputError: `keep` or `every` is below 1.
    """
    if keep < 1 or every < 1:
      raise InputError(
        f"keep is {keep} and every is {every}, expected both to be at least 1"
      )
    self._named = found = places.absolute(directory)
    self._mirror = None
    if mirror.is_needed(found):
      self._mirror = mirror.Mirror(epath.Path(found), keep)
      found = self._mirror.folder
    self._directory = epath.Path(found)  # where Orbax writes
    # A bucket keeps digests of its own, and is slow to read twice.
    self._local = found if isinstance(found, pathlib.Path) else None
    self._every = every
    self._manager = ocp.CheckpointManager(
      self._directory,
      options=ocp.CheckpointManagerOptions(
        max_to_keep=keep,
        async_options=ocp.AsyncOptions(post_finalization_callback=self._seal),
      ),
    )
    # Who trains asks whether the machine is wanted back. Orbax would ask too,
    # under numbers of its own, and jax answers each number once.
    self._manager.reached_preemption = lambda step: False

  def save(
    self,
    step: int,
    state: PyTree,
    meta: Mapping[str, Any],
    *,
    force: bool = False,
  ) -> bool:
    """Saves where `step` is a multiple of `every`; call it after every step.

    Args:
      step: steps done.
      state: arrays of any sharding; optax states and random keys, typed or
        not, are fine.
      meta: what a resumed run must know beyond arrays, as JSON: examples
        consumed, hash of the configuration.
      force: save at any step. For the last one.

    Returns:
      Whether a checkpoint was begun. Never twice for one step.

    Raises:
      InputError: the directory holds later steps, so this run did not start
        from what is there.
    """
    if step % self._every and not force:
      return False
    newest = self._manager.latest_step()
    if newest is not None and step <= newest:
      if step == newest:
        return False
      raise InputError(
        f"cannot save step {step}: {self._named} already holds step "
        f"{newest}; resume from it or use an empty directory"
      )
    items = ocp.args.Composite(
      state=ocp.args.StandardSave(state), meta=ocp.args.JsonSave(dict(meta))
    )
    return self._manager.save(step, args=items, force=True)

  def restore_latest(
    self, abstract_state: PyTree
  ) -> tuple[PyTree, dict[str, Any], int] | None:
    """The newest checkpoint that can be read, or None in a fresh directory.

    One that cannot be read, or whose files are not those that were written,
    is named in a warning, set aside under another name (its step will be
    reached again) and the one before it is used. Half-written ones, left by a
    crash, are never looked at.

    Args:
      abstract_state: from `abstract`.

    Returns:
      State, meta and step.

    Raises:
      InputError: there are checkpoints and none can be read, which is also
        what a state of other shapes looks like. Nothing is renamed then.
      RuntimeError: one of many processes could not read it; it is set aside,
        and the next start uses the one before.
    """
    self.wait()
    items = ocp.args.Composite(
      state=ocp.args.StandardRestore(abstract_state),
      meta=ocp.args.JsonRestore(),
    )
    faults = {}
    for step in sorted(self._manager.all_steps(), reverse=True):
      damage = self._damage(step)
      if damage:
        faults[step] = InputError(damage)
        _logger.warning("cannot use checkpoint %s: %s", step, damage)
        continue
      try:
        found = self._manager.restore(step, args=items)
      except Exception as error:  # each storage layer has errors of its own
        faults[step] = error
        _logger.warning(
          "cannot read checkpoint %s: %s", self._named / str(step), error
        )
        if jax.process_count() > 1:
          self._give_up(step, error)
        continue
      self._set_aside(faults)
      return found.state, found.meta, step
    if not faults:
      return None
    newest, error = next(iter(faults.items()))
    if isinstance(error, InputError):
      raise InputError(f"no checkpoint can be resumed from: {error}")
    raise InputError(
      f"none of the checkpoints {sorted(faults)} in {self._named} can be "
      f"read into this state, step {newest} because of "
      f"{' '.join(str(error).split())[:300]!r}: resume with the configuration "
      "that wrote them or use an empty directory"
    ) from error

  def wait(self) -> None:
    """Returns when everything is written; raises what went wrong meanwhile."""
    self._manager.wait_until_finished()
    self._manager.check_for_errors()

  def close(self) -> None:
    """Waits, raises what went wrong, and ends the background threads."""
    try:
      self.wait()
    finally:
      self._manager.close()
      if self._mirror is not None:
        self._mirror.close()

  def __enter__(self) -> Self:
    return self

  def __exit__(self, *exception) -> None:
    self.close()

  def _seal(self) -> None:
    """Writes the digests of a checkpoint that is about to get its name."""
    if self._local is not None and processes.is_main():
      for path in self._local.glob(_UNFINISHED):
        digests.write(path, skip=_STAMPED_LATER)
        if self._mirror is not None:
          self._mirror.push(int(path.name.partition(".")[0]), path)

  def _damage(self, step: int) -> str:
    """What is wrong with a checkpoint's files, the same in every process."""
    damage = ""
    if self._local is not None and processes.is_main():
      try:
        digests.check(self._local / str(step))
      except InputError as error:
        damage = str(error)
    return processes.agree(f"digests of checkpoint {step}", damage)

  def _give_up(self, step: int, error: Exception) -> NoReturn:
    """Sets a checkpoint aside and ends this process, one of many.

    The others may have read their parts of it and wait inside Orbax for this
    one: only a new start brings all of them to the checkpoint before.
    """
    with contextlib.suppress(FileNotFoundError):  # another one was faster
      self._set_aside([step])
    raise RuntimeError(
      f"checkpoint {self._named / str(step)} cannot be read and was set "
      "aside; start all processes again, to go on from the one before"
    ) from error

  def _set_aside(self, steps: Iterable[int]) -> None:
    """Renames damaged checkpoints."""
    for step in steps:
      damaged = self._directory / str(step)
      damaged.rename(self._free_name(f"{step}.damaged"))
      if self._mirror is not None:
        self._mirror.set_aside(step, f"{step}.damaged")
    self._manager.reload()

  def _free_name(self, name: str) -> epath.Path:
    """A path of that name, numbered if the same step was damaged before."""
    path, count = self._directory / name, 1
    while path.exists():
      count += 1
      path = self._directory / f"{name}.{count}"
    return path
