"""One grading process as its parent sees it: start, send, receive, kill."""

import collections
import contextlib
import json
import math
import os
import signal
import subprocess
import sys
import time

from qsharp_jax.rewards.graders import Grade

_START_LIMIT_S = 120.0  # to import the reward's module, on a busy machine
_CODE = (
  "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
  "from qsharp_jax.rewards import worker; worker.main(sys.argv[2])"
)


class WorkerProcess:
  """One worker process and what it is busy with.

  Attributes:
    process: the process.
    is_ready: whether it has resolved the reward.
    todo: indices of the tasks it was sent and has not answered, in order.
    deadline: the monotonic time by which it must answer; inf when idle.
  """

  def __init__(self, reward_name: str):
    path = json.dumps([os.path.abspath(folder) for folder in sys.path])
    self.process = subprocess.Popen(
      [sys.executable, "-c", _CODE, path, reward_name],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      # Its own group: killed with what it started, not hit by Ctrl-C.
      start_new_session=True,
    )
    self.is_ready = False
    self.todo: collections.deque[int] = collections.deque()
    self.deadline = time.monotonic() + _START_LIMIT_S
    self._buffer = b""

  def fileno(self) -> int:
    """The descriptor its answers arrive at, for a selector."""
    return self.process.stdout.fileno()

  def send(self, todo, pairs, time_limit_s: float) -> None:
    """Sends a chunk; blocks until the worker, which is reading, has it."""
    self.process.stdin.write(json.dumps(pairs).encode() + b"\n")
    self.process.stdin.flush()
    self.todo.extend(todo)
    self.deadline = time.monotonic() + time_limit_s

  def receive(self, grades, time_limit_s: float) -> bool:
    """Reads the answers at hand into `grades`; False when the worker died."""
    data = os.read(self.fileno(), 1 << 18)
    *lines, self._buffer = (self._buffer + data).split(b"\n")
    for line in lines:
      if self.is_ready:
        grades[self.todo.popleft()] = Grade(*json.loads(line))
      self.is_ready = True
    if lines:
      self.deadline = time.monotonic() + time_limit_s
    if self.is_ready and not self.todo:
      self.deadline = math.inf
    return bool(data)

  def kill(self) -> None:
    """Ends the process, whatever it is in, and what it started."""
    with contextlib.suppress(ProcessLookupError):
      os.killpg(self.process.pid, signal.SIGKILL)
    self.process.wait()
    self.process.stdout.close()
    with contextlib.suppress(BrokenPipeError):
      self.process.stdin.close()
