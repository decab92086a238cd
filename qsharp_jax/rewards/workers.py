"""Grading in worker processes, with a time limit that always holds.

A symbolic comparison can take forever inside C code, where no exception
reaches it; a process can be killed. The workers are plain Python started afresh
and spoken to by JSON lines: a fork of a process that holds jax may deadlock,
and a multiprocessing spawn would import the caller's main module, jax included,
into each of them.
"""

import collections
import math
import selectors
import time

from qsharp_jax.core.errors import InputError
from qsharp_jax.rewards import graders, registry
from qsharp_jax.rewards.graders import Grade
from qsharp_jax.rewards.worker_process import WorkerProcess

_MAX_CHUNK = 256  # tasks


class GradingPool:
  """Grades predictions in worker processes; a context manager.

  The processes start with the first `grade` and end with the context. One
  `grade` at a time.
  """

  def __init__(
    self,
    reward_name: str,
    num_workers: int = 1,
    time_limit_s: float = 10.0,
  ):
    """Checks the reward; starts nothing.

    Args:
      reward_name: a name that `registry.resolve` knows.
      num_workers: processes, at least 1.
      time_limit_s: seconds for one prediction, > 0.

    Raises:
      InputError: a reward that does not resolve, a number out of range.
    """
    if num_workers < 1:
      raise InputError(f"num_workers is {num_workers}: expected at least 1")
    if not time_limit_s > 0:
      raise InputError(f"time_limit_s is {time_limit_s}: expected > 0 seconds")
    registry.resolve(reward_name)
    self._reward_name = reward_name
    self._num_workers = num_workers
    self._time_limit_s = time_limit_s
    self._workers: list[WorkerProcess] = []
    self._selector = selectors.DefaultSelector()

  def __enter__(self) -> "GradingPool":
    return self

  def __exit__(self, *exc_info) -> None:
    self.close()

  def close(self) -> None:
    """Ends the worker processes; a later `grade` starts new ones."""
    while self._workers:
      self._end(self._workers[-1])

  def grade(self, predictions: list[str], answers: list[str]) -> list[Grade]:
    """Grades each prediction against the answer of the same index.

    A task over the time limit, a reward that raises, returns no finite number
    or takes its process down: that sample alone gets an incorrect grade with
    reward 0 and an `error`, and the others are graded as if it were not there.

    Args:
      predictions: completions.
      answers: gold answers, as many.

    Returns:
      The grades, in order.

    Raises:
      InputError: lists of different lengths.
      RuntimeError: a worker process cannot start.
    """
    if len(predictions) != len(answers):
      raise InputError(
        f"got {len(predictions)} predictions and {len(answers)} answers: "
        "expected as many"
      )
    tasks = list(zip(predictions, answers, strict=True))
    grades: list[Grade | None] = [None] * len(tasks)
    waiting = collections.deque(range(len(tasks)))
    # Small enough that no worker sits idle at the end, big enough to be cheap.
    chunk = min(_MAX_CHUNK, math.ceil(len(tasks) / (4 * self._num_workers)))
    try:
      while waiting or any(worker.todo for worker in self._workers):
        self._hand_out(tasks, waiting, chunk)
        self._collect(grades, waiting)
    except BaseException:
      self.close()  # its answers would be taken for the next call's
      raise
    return grades

  def _hand_out(self, tasks, waiting, chunk: int) -> None:
    """Gives idle workers a chunk each; starts missing workers."""
    while len(self._workers) < min(self._num_workers, len(waiting)):
      worker = WorkerProcess(self._reward_name)
      self._workers.append(worker)
      self._selector.register(worker.fileno(), selectors.EVENT_READ, worker)
    for worker in list(self._workers):
      if worker.is_ready and not worker.todo and waiting:
        size = min(chunk, len(waiting))
        todo = [waiting.popleft() for _ in range(size)]
        try:
          worker.send(todo, [tasks[i] for i in todo], self._time_limit_s)
        except BrokenPipeError:  # it died idle: no fault of these tasks
          waiting.extendleft(reversed(todo))
          self._end(worker)

  def _collect(self, grades, waiting) -> None:
    """Waits for answers or a deadline, whichever comes first."""
    if not self._workers:
      return
    deadline = min(worker.deadline for worker in self._workers)
    timeout = max(0.0, deadline - time.monotonic())
    ready = self._selector.select(None if math.isinf(timeout) else timeout)
    readable = [key.data for key, _ in ready]
    now = time.monotonic()
    for worker in list(self._workers):
      if worker in readable:
        if not worker.receive(grades, self._time_limit_s):
          self._give_up(worker, "the worker process died", grades, waiting)
      # An answer still in the pipe counts, so only the silent are overdue.
      elif worker.deadline <= now:
        reason = f"time limit of {self._time_limit_s:g} s passed"
        self._give_up(worker, reason, grades, waiting)

  def _give_up(
    self, worker: WorkerProcess, reason: str, grades, waiting
  ) -> None:
    """Marks the task a worker is in, puts the rest back, ends the worker."""
    self._end(worker)
    if not worker.is_ready:
      raise RuntimeError(
        f"a grading worker did not start ({reason}, exit code "
        f"{worker.process.returncode}); its own message is on stderr"
      )
    if worker.todo:
      grades[worker.todo.popleft()] = graders.failed(reason)
      waiting.extendleft(reversed(worker.todo))

  def _end(self, worker: WorkerProcess) -> None:
    self._selector.unregister(worker.fileno())
    self._workers.remove(worker)
    worker.kill()
