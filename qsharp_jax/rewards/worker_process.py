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

from qsharp_jax.rewards import registry
from qsharp_jax.rewards.graders import Grade

# The order of sets must not decide a verdict.
_PYTHON = ("env", "PYTHONHASHSEED=0", sys.executable)
_CODE = (
  "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
  "from qsharp_jax.rewards import worker; "
  "worker.main(sys.argv[2], int(sys.argv[3]))"
)


class WorkerProcess:
  """One worker process and what it is busy with.

  Attributes:
    process: the process.
    is_ready: whether it has resolved the reward.
    refusal: why it could not, None before it said so.
    traits: of the reward, once it is ready.
    todo: indices of the tasks it was sent and has not answered, in order.
    deadline: the monotonic time by which it must answer; inf when idle.
  """

  def __init__(
    self, reward_name: str, memory_limit_gib: float, start_limit_s: float
  ):
    path = json.dumps([os.path.abspath(folder) for folder in sys.path])
    memory_limit = str(int(memory_limit_gib * 2**30))
    self.process = subprocess.Popen(
      [*_PYTHON, "-c", _CODE, path, reward_name, memory_limit],
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      # Its own group: killed with what it started, not hit by Ctrl-C.
      start_new_session=True,
    )
    self.is_ready = False
    self.refusal: str | None = None
    self.traits = registry.Traits()
    self.todo: collections.deque[int] = collections.deque()
    self.deadline = time.monotonic() + start_limit_s
    self._partial: list[bytes] = []  # of a line that has not ended

  def fileno(self) -> int:
    """The descriptor its answers arrive at, for a selector."""
    return self.process.stdout.fileno()

  def send(self, todo, tasks, time_limit_s: float) -> None:
    """Sends a chunk; blocks until the worker, which is reading, has it.

    A batched reward has the time of all its tasks for the first answer.
    """
    chunk = [[i, *task] for i, task in zip(todo, tasks, strict=True)]
    self.process.stdin.write(json.dumps(chunk).encode() + b"\n")
    self.process.stdin.flush()
    self.todo.extend(todo)
    num_limits = len(chunk) if self.traits.is_batched else 1
    self.deadline = time.monotonic() + time_limit_s * num_limits

  def receive(self, grades, time_limit_s: float) -> bool:
    """Reads the answers at hand into `grades`; False when the worker died.

    What is no answer to its next task (the pipe is open to a user's code)
    counts as its death.
    """
    data = os.read(self.fileno(), 1 << 18)
    self._partial.append(data)
    if b"\n" not in data:
      return bool(data)
    *lines, rest = b"".join(self._partial).split(b"\n")
    self._partial = [rest]
    for line in lines:
      try:
        self._take(json.loads(line), grades)
      except (ValueError, TypeError, KeyError, IndexError):
        return False
    self.deadline = time.monotonic() + time_limit_s
    if self.is_ready and not self.todo:
      self.deadline = math.inf
    return self.refusal is None

  def is_dead(self) -> bool:
    """Whether it ended, even if something it started keeps the pipe open."""
    return self.process.poll() is not None

  def kill(self) -> None:
    """Ends the process, whatever it is in, and what it started."""
    with contextlib.suppress(ProcessLookupError):
      os.killpg(self.process.pid, signal.SIGKILL)
    self.process.wait()
    self.process.stdout.close()
    with contextlib.suppress(BrokenPipeError):
      self.process.stdin.close()

  def _take(self, message, grades) -> None:
    if not self.is_ready:
      self.refusal = message["refused"]
      if self.refusal is None:
        fields = message["traits"]
        bounds = fields["bounds"]
        fields["bounds"] = None if bounds is None else tuple(bounds)
        self.traits = registry.Traits(**fields)
        self.is_ready = True
      return
    index, *fields = message
    if index != self.todo[0]:
      raise ValueError(f"answer to task {index}, expected {self.todo[0]}")
    grades[index] = Grade(*fields)
    self.todo.popleft()
