"""Many processes that run the same program: who writes, and how they agree.

Every process makes the same decisions from the same inputs, so that all of them
start the same programs in the same order. What the machine decides instead (is
a file there? what did a grader say?) is decided by the main process for all.
With one process, everything here is free of communication.
"""

import functools
import json
import re
import signal
import time
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils
from jax.sharding import NamedSharding, PartitionSpec

from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import Absent

# Seconds that processes wait for one another: writing a large model takes long.
_TIMEOUT = 1800
_LEAVING = 60
# jax's words on a barrier: the numbers of those that were waited for, and of
# one that does not answer at all.
_TIMED_OUT = re.compile(r"timed out task names:\s*((?:\d+\s+)+)")
_SILENT = re.compile(r"Task (\d+) heartbeat timeout")


def is_main() -> bool:
  """Whether this process writes what exists once: reports, models, marks."""
  return jax.process_index() == 0


def is_mine(index: int) -> bool:
  """Whether this process does the `index`-th of many pieces of work."""
  return index % jax.process_count() == jax.process_index()


def barrier(name: str, *, timeout: int = _TIMEOUT) -> None:
  """Returns when every process has come here.

  Args:
    name: of the place, for the error.
    timeout: seconds.

  Raises:
    Absent: a process did not come in time; names it and the place.
  """
  if jax.process_count() == 1:
    return
  # Naming all processes chooses the barrier that can time out.
  everyone = set(range(jax.process_count()))
  try:
    ocp.multihost.sync_global_processes(
      name, timeout=timeout, processes=everyone
    )
  except RuntimeError as error:
    text = str(error)
    found = _TIMED_OUT.search(text) or _SILENT.search(text)
    if not found:
      raise
    raise Absent(
      f"process {', '.join(found[1].split())} did not come to {name!r} in "
      "time; see in its log where it stands"
    ) from error


def leave() -> None:
  """Ends together what all processes give up; process 0 is the last to go.

  The others lose their connection with it, and would take that for a crash.
  """
  if jax.process_count() > 1:
    barrier("leaving", timeout=_LEAVING)
    if is_main():
      time.sleep(1.0)


def agree(name: str, value: Any) -> Any:
  """The main process's value, in every process.

  Args:
    name: of the question, for the error of a process that does not come.
    value: plain data, as JSON has it; looked at in the main process only.
  """
  if jax.process_count() == 1:
    return value
  barrier(name)
  content = json.dumps(value).encode() if is_main() else b""
  size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
  # Few sizes, so that few programs are compiled.
  padded = np.zeros(1 << max(6, (size - 1).bit_length()), np.uint8)
  padded[: len(content)] = np.frombuffer(content, np.uint8)
  received = np.asarray(multihost_utils.broadcast_one_to_all(padded))
  return json.loads(received[:size].tobytes())


def fetch(tree: PyTree) -> PyTree:
  """The tree as numpy arrays, whole in every process."""
  if jax.process_count() > 1:
    leaves, structure = jax.tree.flatten(tree)
    is_cut = [not _is_readable(leaf) for leaf in leaves]
    cut = [leaf for leaf, is_own in zip(leaves, is_cut, strict=True) if is_own]
    if cut:
      whole = iter(_replicate(cut[0].sharding.mesh)(cut))
      leaves = [
        next(whole) if is_own else leaf
        for leaf, is_own in zip(leaves, is_cut, strict=True)
      ]
    tree = jax.tree.unflatten(structure, leaves)
  return jax.device_get(tree)


class _Termination:
  """Whether somebody wants this machine back."""

  def __init__(self):
    self.is_wanted = False
    self._num_looks = 0

  def listen(self) -> None:
    """Remembers a SIGTERM from now on, instead of dying of it."""
    signal.signal(signal.SIGTERM, self._remember)

  def look(self) -> bool:
    """Whether it was asked for; the answer is the same in every process."""
    self._num_looks += 1
    if jax.distributed.is_initialized():
      # jax caught the signal, in whichever process, and chooses the look at
      # which all of them learn of it.
      self.is_wanted |= multihost_utils.reached_preemption_sync_point(
        self._num_looks
      )
    return self.is_wanted

  def _remember(self, number: int, frame: object) -> None:
    del number, frame
    self.is_wanted = True


termination = _Termination()


def _is_readable(leaf: Any) -> bool:
  if not isinstance(leaf, jax.Array):
    return True
  return leaf.is_fully_addressable or leaf.is_fully_replicated


@functools.cache
def _replicate(mesh: jax.sharding.Mesh):
  """Copies arrays that are cut over hosts onto every device."""
  return jax.jit(
    lambda leaves: leaves, out_shardings=NamedSharding(mesh, PartitionSpec())
  )
