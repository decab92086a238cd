"""A small experiment, disturbed where told: WORKDIR [STAGE FAULT].

The first time that this stage has something on the disk, a shard or a
checkpoint, the fault comes, and a line on stderr says so.
"""

import contextlib
import errno
import os
import pathlib
import signal
import sys

import jax
import jax.numpy as jnp

from experiments import gsm8k
from experiments.harness import console
from qsharp_jax.checkpoint import train_state
from qsharp_jax.pipeline import workdir as workdir_lib
from qsharp_jax.rewards import worker_process
from qsharp_jax.rollout import store
from qsharp_jax.training import loop

CONFIG = pathlib.Path(__file__).with_name("faults_config.py")


def fail(number):
  def act(where):
    raise OSError(number, os.strerror(number), str(where.disturbed))

  return act


def send(number):
  return lambda where: os.kill(os.getpid(), number)


def damage(change):
  """Ends the run unwarned; the newest file of the stage is found changed."""

  def act(where):
    files = [f for f in where.disturbed.rglob("*") if f.is_file()]
    newest = max(files, key=lambda f: (f.stat().st_mtime_ns, f.stat().st_size))
    newest.write_bytes(change(newest.read_bytes()))
    os.kill(os.getpid(), signal.SIGKILL)

  return act


def flip(content):
  middle = len(content) // 2
  return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


FAULTS = {
  "kill -9": send(signal.SIGKILL),
  "SIGTERM": send(signal.SIGTERM),
  "Ctrl-C": send(signal.SIGINT),
  "disk full": fail(errno.ENOSPC),
  "read-only": fail(errno.EROFS),
  "truncated": damage(lambda content: content[: len(content) // 2]),
  "bit flipped": damage(flip),
}


class Where:
  """Which stage is running, and what it has on the disk."""

  def __init__(self, stage, fault):
    self.stage, self.fault = stage, fault
    self.running, self.disturbed, self.has_come = "", None, False

  def stages(self, method):
    """`Workdir.stages`, noting what is due."""

    @contextlib.contextmanager
    def noting(workdir, stages):
      with method(workdir, stages) as due:
        before, self.running = self.running, due[0] if due else ""
        try:
          yield due
        finally:
          self.running = before

    return noting

  def look(self, path):
    """After something was written."""
    if self.has_come or not self.running.startswith(self.stage):
      return
    self.has_come, self.disturbed = True, pathlib.Path(path)
    print(f"FAULT in {self.running}", file=sys.stderr, flush=True)
    self.act()

  def act(self):
    FAULTS[self.fault](self)


class Busy(Where):
  """Kills a grading worker that has just been given something to do."""

  def look(self, path):
    pass

  def send(self, method):
    def sending(worker, *args):
      method(worker, *args)
      if not self.has_come and self.running.startswith(self.stage):
        self.has_come = True
        print(f"FAULT in {self.running}", file=sys.stderr, flush=True)
        os.kill(worker.process.pid, signal.SIGKILL)

    return sending


class NotANumber(Where):
  """Loses the parameters in training, after the first checkpoint."""

  is_lost = False

  def act(self):
    self.is_lost = True

  def advance(self, method):
    def advancing(training, index):
      metrics = method(training, index)
      if self.is_lost:
        lost = jax.tree.map(lambda x: x * jnp.nan, training.state.params)
        training.state = training.state.replace(params=lost)
      return metrics

    return advancing


KINDS = {"worker killed": Busy, "NaN": NotANumber}


def after(method, look):
  """A method that is followed by a look at the directory it wrote to."""

  def following(self, *args, **kwargs):
    found = method(self, *args, **kwargs)
    look(self, *args)
    return found

  return following


def disturb(stage, fault):
  """Hooks the fault into this process."""
  where = KINDS.get(fault, Where)(stage, fault)
  workdir_lib.Workdir.stages = where.stages(workdir_lib.Workdir.stages)
  store.write_shard = after(
    store.write_shard, lambda directory, *_: where.look(directory)
  )
  saver = train_state.Checkpointer

  def saved(checkpointer, step, *_):
    directory = pathlib.Path(checkpointer._manager.directory)
    if step % checkpointer._every == 0:
      checkpointer._manager.wait_until_finished()
      where.look(directory / str(step))

  saver.save = after(saver.save, saved)
  if isinstance(where, Busy):
    worker_process.WorkerProcess.send = where.send(
      worker_process.WorkerProcess.send
    )
  if isinstance(where, NotANumber):
    loop.Loop._advance = where.advance(loop.Loop._advance)


def main(flags, workdir, stage="", fault=""):
  sys.argv[1:] = [f"--config={CONFIG}:tiny", f"--workdir={workdir}", *flags]
  if fault:
    disturb(stage, fault)
  console.run(gsm8k.main)


if __name__ == "__main__":
  given = sys.argv[1:]
  # Of launch.local.
  own = [word for word in given if word.startswith("--")]
  main(own, *(word for word in given if word not in own))
