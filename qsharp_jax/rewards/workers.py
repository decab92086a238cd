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
from qsharp_jax.rewards import graders, grading, registry
from qsharp_jax.rewards.graders import Grade
from qsharp_jax.rewards.worker_process import WorkerProcess

_MAX_CHUNK = 256  # tasks
_GLANCE_S = 1.0  # between looks for workers that died with their pipe open


class GradingPool:
  """Grades predictions in worker processes; a context manager.

  The processes start with the first `grade` and end with the context. One
  `grade` at a time.

  Attributes:
    counts: split to how its grading went.
    traits: what the reward says of itself.
  """

  def __init__(
    self,
    reward_name: str,
    num_workers: int = 1,
    time_limit_s: float = 10.0,
    *,
    memory_limit_gib: float = 4.0,
    start_limit_s: float = 120.0,
    max_failed_share: float = 1.0,
  ):
    """Checks the reward; a user's own is imported once, in a worker.

    Args:
      reward_name: a name that `registry.resolve` knows.
      num_workers: processes, at least 1.
      time_limit_s: seconds for one prediction, > 0.
      memory_limit_gib: address space of each worker, in GiB, > 0.
      start_limit_s: seconds to import the reward's module, > 0.
      max_failed_share: the share of a split's samples, in [0, 1], that may be
        without an honest grade; 1 never stops.

    Raises:
      InputError: a reward that does not resolve, a number out of range.
    """
    if num_workers < 1:
      raise InputError(f"num_workers is {num_workers}: expected at least 1")
    for name, limit in (
      ("time_limit_s", time_limit_s),
      ("memory_limit_gib", memory_limit_gib),
      ("start_limit_s", start_limit_s),
    ):
      if not limit > 0:
        raise InputError(f"{name} is {limit}: expected > 0")
    self._reward_name = reward_name
    self._num_workers = num_workers
    self._time_limit_s = time_limit_s
    self._start_limits = (memory_limit_gib, start_limit_s)
    self._workers: list[WorkerProcess] = []
    self._selector = selectors.DefaultSelector()
    self._failures = grading.Failures(reward_name, max_failed_share)
    self.counts = self._failures.counts
    registry.check(reward_name)
    if reward_name in registry.NAMED:
      self.traits = registry.traits_of(reward_name, registry.NAMED[reward_name])
    else:
      self.traits = self._try_to_start()

  @property
  def identity(self) -> str:
    """The reward's name and, of a user's function, the digest of its source."""
    return f"{registry.label(self._reward_name)} {self.traits.source}".strip()

  def device_bytes(self, length: int) -> int:
    """None: no model is on the devices."""
    del length
    return 0

  def __enter__(self) -> "GradingPool":
    return self

  def __exit__(self, *exc_info) -> None:
    self.close()

  def close(self) -> None:
    """Ends the worker processes; a later `grade` starts new ones."""
    while self._workers:
      self._end(self._workers[-1])

  def grade(
    self,
    predictions: list[str],
    answers: list[str],
    split: str = "",
    *,
    prompts: list[str] | None = None,
  ) -> list[Grade]:
    """Grades each prediction against the answer of the same index.

    A task over the time limit, a reward that raises, returns no finite number
    or twice takes its process down: that sample alone gets an incorrect grade
    with reward 0 and an `error`, and the others are graded as if it were not
    there. A process that died is taken for the machine's fault once.

    Args:
      predictions: completions.
      answers: gold answers, as many.
      split: what they are samples of; failures are counted for each.
      prompts: the questions, as many, for a reward that wants them.

    Returns:
      The grades, in order.

    Raises:
      InputError: lists of different lengths, a worker process that cannot
        start, more failures than the pool's share allows.
    """
    if prompts is None:
      if self.traits.takes_prompt:
        raise InputError(
          f"reward {self._reward_name!r} reads the prompt: got predictions "
          "without prompts; give the question of each"
        )
      prompts = [""] * len(predictions)
    if not len(predictions) == len(answers) == len(prompts):
      raise InputError(
        f"got {len(predictions)} predictions, {len(answers)} answers and "
        f"{len(prompts)} prompts: expected as many"
      )
    tasks = list(zip(predictions, answers, prompts, strict=True))
    grades: list[Grade | None] = [None] * len(tasks)
    waiting = collections.deque(range(len(tasks)))
    retried: set[int] = set()
    # Small enough that no worker sits idle at the end, big enough to be cheap.
    chunk = min(_MAX_CHUNK, math.ceil(len(tasks) / (4 * self._num_workers)))
    try:
      while waiting or any(worker.todo for worker in self._workers):
        self._hand_out(tasks, waiting, chunk)
        self._collect(grades, waiting, retried)
    except BaseException:
      self.close()  # its answers would be taken for the next call's
      raise
    self._failures.add(grades, split)
    return grades

  def _try_to_start(self) -> registry.Traits:
    """Imports the reward in a worker, which may exit, hang or eat memory."""
    self._start()
    try:
      while not self._workers[0].is_ready:
        self._collect([], collections.deque(), set())
      return self._workers[0].traits
    finally:
      self.close()

  def _start(self) -> None:
    worker = WorkerProcess(self._reward_name, *self._start_limits)
    self._workers.append(worker)
    self._selector.register(worker.fileno(), selectors.EVENT_READ, worker)

  def _hand_out(self, tasks, waiting, chunk: int) -> None:
    """Gives idle workers a chunk each; starts missing workers."""
    while len(self._workers) < min(self._num_workers, len(waiting)):
      self._start()
    for worker in list(self._workers):
      if worker.is_ready and not worker.todo and waiting:
        size = min(chunk, len(waiting))
        todo = [waiting.popleft() for _ in range(size)]
        try:
          worker.send(todo, [tasks[i] for i in todo], self._time_limit_s)
        except BrokenPipeError:  # it died idle: no fault of these tasks
          waiting.extendleft(reversed(todo))
          self._end(worker)

  def _collect(self, grades, waiting, retried: set[int]) -> None:
    """Waits for answers or a deadline, whichever comes first."""
    if not self._workers:
      return
    deadline = min(worker.deadline for worker in self._workers)
    timeout = min(_GLANCE_S, max(0.0, deadline - time.monotonic()))
    readable = [key.data for key, _ in self._selector.select(timeout)]
    now = time.monotonic()
    for worker in list(self._workers):
      if worker in readable:
        if not worker.receive(grades, self._time_limit_s):
          self._bury(worker, grades, waiting, retried)
      elif worker.is_dead():
        self._bury(worker, grades, waiting, retried)
      # An answer still in the pipe counts, so only the silent are overdue.
      elif worker.deadline <= now:
        self._give_up(worker, self._overdue(worker), grades, waiting)

  def _overdue(self, worker: WorkerProcess) -> str:
    limit = self._time_limit_s if worker.is_ready else self._start_limits[1]
    return f"time limit of {limit:g} s passed"

  def _bury(self, worker, grades, waiting, retried: set[int]) -> None:
    """Ends a worker that died; the task it was in gets a second chance."""
    if worker.todo and worker.todo[0] not in retried:
      retried.add(worker.todo[0])
      self._end(worker)
      waiting.extendleft(reversed(worker.todo))
    else:
      self._give_up(worker, "the worker process died", grades, waiting)

  def _give_up(
    self, worker: WorkerProcess, reason: str, grades, waiting
  ) -> None:
    """Marks the task a worker is in, puts the rest back, ends the worker.

    Of a batched reward's tasks, any may be the one, and all are marked.
    """
    self._end(worker)
    if worker.refusal is not None:
      raise InputError(worker.refusal)
    if not worker.is_ready:
      raise InputError(
        f"reward {self._reward_name!r}: a grading worker did not start "
        f"({reason}, exit code {worker.process.returncode}); check that its "
        "module imports by itself, without ending or waiting"
      )
    while worker.todo:
      grades[worker.todo.popleft()] = graders.failed(reason)
      if not worker.traits.is_batched:
        break
    waiting.extendleft(reversed(worker.todo))

  def _end(self, worker: WorkerProcess) -> None:
    self._selector.unregister(worker.fileno())
    self._workers.remove(worker)
    worker.kill()
