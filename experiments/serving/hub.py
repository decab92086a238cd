"""Between the engine's thread and the event loop."""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence

from experiments.serving.refusals import Refused
from qsharp_jax.serving import jobs, runner


class Hub:
  """Brings what the engine writes to those who wait for it on the loop.

  Attributes:
    runner: the engine's; set before the first request.
    num_cancelled: answers that nobody waited for any more.
  """

  runner: runner.Runner

  def __init__(self, loop: asyncio.AbstractEventLoop):
    """Serves the waiters of one loop."""
    self.num_cancelled = 0
    self._loop = loop
    self._queues: dict[int, asyncio.Queue[jobs.Progress]] = {}

  def deliver(self, told: list[jobs.Progress]) -> None:
    """Takes the progress of a turn, from any thread."""
    with contextlib.suppress(RuntimeError):  # the loop has been closed
      self._loop.call_soon_threadsafe(self._spread, told)

  def _spread(self, told: list[jobs.Progress]) -> None:
    for progress in told:
      if queue := self._queues.get(progress.ticket):
        queue.put_nowait(progress)
      if progress.is_over:
        self._queues.pop(progress.ticket, None)

  @contextlib.contextmanager
  def opened(
    self, wanted: Sequence[jobs.Job]
  ) -> Iterator[tuple[list[int], asyncio.Queue[jobs.Progress]]]:
    """Hands jobs over; whatever is left of them on the way out is cancelled.

    Raises:
      Refused: the queue is full, or the server closes.
    """
    queue: asyncio.Queue[jobs.Progress] = asyncio.Queue()
    tickets: list[int] = []

    def notice(own: list[int]) -> None:
      tickets.extend(own)
      self._queues.update(dict.fromkeys(own, queue))

    with refusing():
      self.runner.submit(wanted, notice)
    try:
      yield tickets, queue
    finally:
      self.drop(tickets)

  def drop(self, tickets: Sequence[int]) -> None:
    """Cancels those that are not over."""
    found = [t for t in tickets if self._queues.pop(t, None) is not None]
    self.num_cancelled += len(found)
    if found:
      self.runner.cancel(found)


@contextlib.contextmanager
def refusing() -> Iterator[None]:
  """Says of a runner that takes no more what clients understand."""
  try:
    yield
  except runner.Full as error:
    raise Refused(
      "the queue is full; try again later",
      status=429,
      code="queue_full",
      retry_after=1,
    ) from error
  except runner.Closed as error:
    raise Refused(
      "the server is closing; ask another one",
      status=503,
      code="closing",
      retry_after=5,
    ) from error
