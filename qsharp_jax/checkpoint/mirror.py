"""Checkpoints in a bucket that Orbax does not write to, kept by way of a copy.

Orbax writes arrays to local folders and to gs:// alone. Elsewhere it writes
here, into a folder for temporary files, and each checkpoint is copied into the
bucket before it counts as written; digests.json, the last object of one, says
that the others are there.
"""

import pathlib
import tempfile

import jax
from absl import logging
from etils import epath

from qsharp_jax.core import digests, places
from qsharp_jax.core.errors import InputError

_WRITTEN_BY_ORBAX = "gs://"


def is_needed(directory: places.Path) -> bool:
  """Whether checkpoints reach a place only by way of a copy.

  Raises:
    InputError: so they do, and there are several processes, each of which
      holds a part of the arrays.
  """
  is_bucket = places.is_remote(directory)
  if not is_bucket or str(directory).startswith(_WRITTEN_BY_ORBAX):
    return False
  if jax.process_count() > 1:
    raise InputError(
      f"{directory} cannot hold checkpoints of {jax.process_count()} "
      "processes, of one process only; expected gs:// or a folder that all of "
      "them see"
    )
  return True


class Mirror:
  """A local folder of checkpoints, and the bucket's folder that it follows.

  Attributes:
    folder: the local one, with the newest checkpoint that is whole.
  """

  def __init__(self, bucket: epath.Path, keep: int):
    """Fetches the newest checkpoint that is whole.

    Damaged ones are named in a warning and set aside under another name;
    those that were not written to their end are passed over.

    Args:
      bucket: the folder there, absent or not.
      keep: number of newest checkpoints kept.
    """
    self._bucket, self._keep = bucket, keep
    self._scratch = tempfile.TemporaryDirectory(prefix="qsharp-checkpoints-")
    self.folder = pathlib.Path(self._scratch.name)
    for step in reversed(self._steps()):
      copy = self.folder / str(step)
      places.download(bucket / str(step), copy)
      if _is_whole(copy):
        break
      logging.warning(
        "cannot use checkpoint %s: %s is not what was saved (%s there says so)",
        step,
        bucket / str(step),
        digests.NAME,
      )
      places.remove(copy)
      self.set_aside(step, f"{step}.damaged")

  def push(self, step: int, copy: pathlib.Path) -> None:
    """Copies a checkpoint into the bucket, and removes what is older there."""
    there = self._bucket / str(step)
    places.remove(there)  # of an attempt that was killed
    places.upload(copy, there)
    for old in self._steps()[: -self._keep]:
      places.remove(self._bucket / str(old))

  def set_aside(self, step: int, name: str) -> None:
    """Renames a checkpoint there."""
    places.remove(self._bucket / name)
    (self._bucket / str(step)).rename(self._bucket / name)

  def close(self) -> None:
    """Removes the local folder."""
    self._scratch.cleanup()

  def _steps(self) -> list[int]:
    """Those that were written to their end, in order."""
    if not self._bucket.exists():
      return []
    return sorted(
      int(entry.name)
      for entry in self._bucket.iterdir()
      if entry.name.isdecimal() and (entry / digests.NAME).exists()
    )


def _is_whole(copy: pathlib.Path) -> bool:
  try:
    digests.check(copy)
  except InputError:
    return False
  return True
