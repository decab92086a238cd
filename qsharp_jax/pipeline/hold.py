"""One run in a directory at a time: a second one would mix their files."""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import socket
from collections.abc import Iterator

from absl import logging

from qsharp_jax.core import errors, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.sharding import processes

NAME = ".lock"
_TAKEN = (errno.EACCES, errno.EAGAIN)
_UNKNOWN = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextlib.contextmanager
def hold(directory: places.Path) -> Iterator[None]:
  """Keeps other runs out of a directory until this one ends, however it ends.

  All processes of a run call it; the main one holds a lock, which the system
  takes from a process that dies. A bucket has no locks: there a line says that
  nothing keeps a second run out.

  Args:
    directory: of the run, made if need be.

  Raises:
    InputError: another run holds it, which is named, or it cannot be written.
  """
  refusal, file = None, None
  if processes.is_main():
    try:
      file = _lock(directory)
    except InputError as error:
      refusal = str(error)
  refusal = processes.agree("is the workdir free?", refusal)
  if refusal is not None:
    raise InputError(refusal)
  try:
    yield
  finally:
    if file is not None:
      # Nobody may lock the file that is about to go: see `_lock`.
      (directory / NAME).unlink(missing_ok=True)
      os.close(file)


def _lock(directory: places.Path) -> int | None:
  """The descriptor that holds the lock; None where there are no locks."""
  if not isinstance(directory, pathlib.Path):
    logging.warning(
      "%s is in a bucket, where nothing keeps a second run out: see to it that "
      "this command runs once at a time",
      directory,
    )
    return None
  path = directory / NAME
  with errors.foreign(
    f"{directory} cannot be written", "make it writable, or choose another"
  ):
    directory.mkdir(parents=True, exist_ok=True)
    while True:
      file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
      try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The one before may have removed the file since it was opened.
        if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
          break
      except OSError as error:
        if error.errno in _TAKEN:
          raise InputError(_in_use(directory)) from error
        if error.errno not in _UNKNOWN:
          raise
        logging.warning("%s: this file system has no locks", directory)
        break
      os.close(file)
    own = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
    os.ftruncate(file, 0)
    os.write(file, own.encode())
  return file


def _in_use(directory: pathlib.Path) -> str:
  try:
    owner = json.loads((directory / NAME).read_text())
    who = f"process {owner['pid']} on {owner['host']}"
  except (OSError, ValueError, KeyError, TypeError):
    who = "another process"
  return (
    f"{directory} is in use by {who}; wait until it ends, end it, or choose "
    "another --workdir"
  )
