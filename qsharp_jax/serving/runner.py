"""The engine on a thread of its own, which others talk to from theirs."""

import contextlib
import itertools
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import numpy as np

from qsharp_jax.core import errors
from qsharp_jax.serving import engine as engine_lib
from qsharp_jax.serving import jobs

_logger = logging.getLogger(__name__)
_NONE = np.zeros(0, np.int32), np.zeros(0, np.float32)


class Full(Exception):
  """The queue has no room for so many jobs."""


class Closed(Exception):
  """No more jobs are taken."""


class Runner:
  """Runs the engine as long as there is something to do.

  Attributes:
    engine: only read it here; its thread alone changes it.
    num_failed: turns that failed.
  """

  def __init__(
    self,
    engine: engine_lib.Engine,
    deliver: Callable[[list[jobs.Progress]], None],
    *,
    max_queue: int,
    within: Callable[
      [], contextlib.AbstractContextManager[object]
    ] = contextlib.nullcontext,
  ):
    """Starts the thread.

    Args:
      engine: from now on the thread's.
      deliver: is told of all progress of a turn, on the thread; must be quick.
      max_queue: jobs that may be waiting or running at one time.
      within: a context that the thread is in, such as a mesh.
    """
    self.engine, self.num_failed = engine, 0
    self._deliver, self._max_queue = deliver, max_queue
    self._within = within
    self._tickets = itertools.count()
    self._inbox: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
    self._open: set[int] = set()  # tickets of jobs that are not over
    self._lock = threading.Lock()  # of `_open`, `_is_closed` and the inbox
    self._is_closed = False
    self._thread = threading.Thread(target=self._run, name="engine")
    self._thread.daemon = True
    self._thread.start()

  @property
  def is_alive(self) -> bool:
    """Whether the thread runs."""
    return self._thread.is_alive()

  @property
  def num_open(self) -> int:
    """Jobs that wait or run."""
    return len(self._open)

  def submit(
    self, wanted: Sequence[jobs.Job], notice: Callable[[list[int]], object]
  ) -> list[int]:
    """Hands over jobs, all or none.

    Args:
      wanted: what `jobs.check` lets pass.
      notice: is told of their tickets before anything can happen to them.

    Returns:
      The tickets.

    Raises:
      Full: more than the queue has room for.
      Closed: the runner takes no more.
    """
    with self._lock:
      self._check_open()
      if len(self._open) + len(wanted) > self._max_queue:
        raise Full
      tickets = [next(self._tickets) for _ in wanted]
      self._open.update(tickets)
      notice(tickets)
      for ticket, job in zip(tickets, wanted, strict=True):
        self._inbox.put(lambda t=ticket, j=job: self.engine.submit(t, j))
    return tickets

  def cancel(self, tickets: Sequence[int]) -> None:
    """Ends jobs, if they are not over; nothing more is told of them."""
    with self._lock:
      found = self._open.intersection(tickets)
      self._open -= found
    for ticket in found:
      self._inbox.put(lambda t=ticket: self.engine.cancel(t))

  def call(self, function: Callable[[], Any]) -> futures.Future:
    """Runs a function between two turns, where it has the devices to itself."""
    found: futures.Future = futures.Future()

    def run() -> None:
      if not found.set_running_or_notify_cancel():
        return
      try:
        found.set_result(function())
      except Exception as error:
        found.set_exception(error)

    with self._lock:
      self._check_open()
      self._inbox.put(run)
    return found

  def close(self, timeout: float | None = None) -> bool:
    """Takes no more jobs and waits for those that are open.

    Returns:
      Whether all are done.
    """
    with self._lock:
      self._is_closed = True
      self._inbox.put(lambda: None)  # wakes the thread
    self._thread.join(timeout)
    return not self._thread.is_alive()

  def _check_open(self) -> None:
    if self._is_closed:
      raise Closed

  def _run(self) -> None:
    with self._within():
      self._work()

  def _work(self) -> None:
    while True:
      if self.engine.is_idle:
        with self._lock:
          if self._is_closed and self._inbox.empty():
            return
        self._inbox.get()()
      while not self._inbox.empty():
        self._inbox.get()()
      self._turn()

  def _turn(self) -> None:
    try:
      told = self.engine.turn()
    except Exception as error:  # of the devices: out of memory, a lost one
      _logger.exception("a turn of the engine failed; its answers are lost")
      told = self._fail(errors.reason(error))
    with self._lock:
      told = [found for found in told if found.ticket in self._open]
      self._open.difference_update(t.ticket for t in told if t.is_over)
    if told:
      self._deliver(told)

  def _fail(self, reason: str) -> list[jobs.Progress]:
    """Ends all jobs, and begins with an empty batch."""
    self.num_failed += 1
    # Jobs that are still in the inbox are not lost.
    lost = self.engine.tickets
    self.engine.reset()
    return [
      jobs.Progress(ticket, *_NONE, None, is_over=True, error=reason)
      for ticket in lost
    ]
