"""Learning curves of a fit: TensorBoard events, written and read back."""

import contextlib
import os
import struct
import sys
from collections.abc import Iterator

import numpy as np

from qsharp_jax.core import places
from qsharp_jax.sharding import processes


@contextlib.contextmanager
def _without(name: str) -> Iterator[None]:
  """Imports as if a package that nobody has imported were not installed."""
  if name in sys.modules:
    yield
    return
  sys.modules[name] = None
  try:
    yield
  finally:
    del sys.modules[name]


# It would import PyTorch for tensors that it is never given: seconds, and more
# than 100 MB.
with _without("torch"):
  from tensorboardX import SummaryWriter, record_writer
  from tensorboardX.proto import event_pb2

Curve = tuple[np.ndarray, np.ndarray]
"""Steps, int64 [N], and numbers, float64 [N]."""

_HEAD, _TAIL = 12, 4  # a record's length and checksums around its content


def writer(events: str, first_step: int) -> SummaryWriter:
  """Events of the main process from a step on; none of the others."""
  return SummaryWriter(
    events,
    purge_step=first_step,
    flush_secs=10,
    write_to_disk=processes.is_main(),
  )


def scalars(directory: str | os.PathLike) -> dict[str, Curve]:
  """Every scalar of a directory of events, by name.

  A run that was interrupted wrote several files; what it wrote beyond the
  checkpoint that the next one started from does not count.

  Args:
    directory: holds events; one that is absent holds none.

  Returns:
    Curves by rising steps.
  """
  found: dict[str, dict[int, float]] = {}
  folder = places.path(directory)
  paths = (
    sorted(folder.glob("events.out.tfevents.*")) if folder.exists() else ()
  )
  for path in paths:
    for event in _events(path.read_bytes()):
      if event.session_log.status == event_pb2.SessionLog.START:
        for curve in found.values():
          for step in [step for step in curve if step >= event.step]:
            del curve[step]
      for value in event.summary.value:
        curve = found.setdefault(value.tag, {})
        curve[event.step] = value.simple_value
  return {
    name: (np.array(sorted(curve), np.int64), _in_order(curve))
    for name, curve in found.items()
    if curve
  }


def thinned(curve: Curve, most: int) -> Curve:
  """The curve by at most so many points, each a mean of neighbours.

  What is left over at the end is left out.
  """
  steps, numbers = curve
  if len(steps) <= most:
    return curve
  size = -(-len(steps) // most)
  # Means of equally many, so that no part of the curve is smoother.
  ends = np.arange(size, len(steps) + 1, size)
  table = numbers[: ends[-1]].reshape(-1, size)
  return steps[ends - 1], table.mean(axis=1)


def _in_order(curve: dict[int, float]) -> np.ndarray:
  return np.array([curve[step] for step in sorted(curve)], np.float64)


def _events(content: bytes) -> Iterator[event_pb2.Event]:
  """Events of a file, up to one that a kill left unfinished or damaged."""
  start = 0
  while start + _HEAD <= len(content):
    (length,) = struct.unpack_from("<Q", content, start)
    end = start + _HEAD + length
    if end + _TAIL > len(content):
      return
    record = content[start + _HEAD : end]
    (checksum,) = struct.unpack_from("<I", content, end)
    if record_writer.masked_crc32c(record) != checksum:
      return
    yield event_pb2.Event.FromString(record)
    start = end + _TAIL
