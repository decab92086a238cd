"""Connections that send, or take, what they should in time, and a number.

uvicorn waits as long as a client likes for the first line of a request, and for
a client that takes no bytes.
"""

import asyncio
import contextlib
import functools
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http import h11_impl

from experiments.serving.service import Limits

_MOST_HEAD = 32 * 1024  # bytes of the first line and the headers


class Crowd:
  """All open connections, so that whoever asks finds room before who waits.

  Attributes:
    most: that may be open.
  """

  def __init__(self, most: int):
    """Nobody is there yet."""
    self.most = most
    self._open: set[Guarded] = set()
    # Those without a request, in the order in which they began to wait.
    self._idle: dict[Guarded, None] = {}

  def enter(self, own: "Guarded") -> None:
    """Takes a connection in; of too many the one idle for longest goes."""
    self._open.add(own)
    self.rest(own)
    if len(self._open) > self.most:
      oldest = next(iter(self._idle))  # the new one, where all others are busy
      self.leave(oldest)
      oldest.transport.abort()

  def rest(self, own: "Guarded") -> None:
    """A connection that waits for its next request."""
    if own in self._open:
      self._idle[own] = None

  def work(self, own: "Guarded") -> None:
    """A connection with a request."""
    self._idle.pop(own, None)

  def leave(self, own: "Guarded") -> None:
    """A connection that is over."""
    self._open.discard(own)
    self._idle.pop(own, None)


class Guarded(h11_impl.H11Protocol):
  """A connection of uvicorn's that ends when its client is too slow."""

  def __init__(self, *args: Any, limits: Limits, crowd: Crowd, **kwargs: Any):
    """A connection within limits, beside others."""
    super().__init__(*args, **kwargs)
    self._limits, self._crowd = limits, crowd
    self._timers: dict[str, asyncio.TimerHandle] = {}

  def connection_made(self, transport: asyncio.Transport) -> None:
    """Waits for the first request."""
    super().connection_made(transport)
    self._set("read", self._limits.read_s)
    self._crowd.enter(self)

  def connection_lost(self, exc: Exception | None) -> None:
    """Forgets the timers."""
    self._crowd.leave(self)
    for name in list(self._timers):
      self._unset(name)
    super().connection_lost(exc)

  def data_received(self, data: bytes) -> None:
    """Gives the rest of a request's head as long as its beginning."""
    super().data_received(data)
    if self.cycle is not None and not self.cycle.response_complete:
      self._crowd.work(self)
      self._unset("read")
    elif "read" not in self._timers:
      self._set("read", self._limits.read_s)

  def on_response_complete(self) -> None:
    """Waits for the next request, or for a closing client to take the rest."""
    if self.transport.is_closing():
      self._set("write", self._limits.write_s)
    self._crowd.rest(self)
    super().on_response_complete()
    if self.cycle is not None and not self.cycle.response_complete:
      self._crowd.work(self)  # a request had come already

  def timeout_keep_alive_handler(self) -> None:
    """Ends a connection that sends no other request."""
    self._end()

  def pause_writing(self) -> None:
    """Waits for the client to take what is written."""
    super().pause_writing()
    self._set("write", self._limits.write_s)

  def resume_writing(self) -> None:
    """Goes on."""
    self._unset("write")
    super().resume_writing()

  def _set(self, name: str, seconds: float) -> None:
    self._unset(name)
    self._timers[name] = self.loop.call_later(seconds, self._end)

  def _unset(self, name: str) -> None:
    if timer := self._timers.pop(name, None):
      timer.cancel()

  def _end(self) -> None:
    self.transport.abort()


class Server(uvicorn.Server):
  """uvicorn's, which ends with exit code 0 once it has drained."""

  @contextlib.contextmanager
  def capture_signals(self) -> Iterator[None]:
    """Takes the signals that ask for an end, and does not raise them again."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
      before = {n: signal.signal(n, self.handle_exit) for n in numbers}
    except ValueError:  # not the main thread
      before = {}
    try:
      yield
    finally:
      for number, handler in before.items():
        signal.signal(number, handler)


def server(app: Any, limits: Limits, *, drain_s: float) -> Server:
  """A server of an ASGI application; it opens no socket itself.

  Args:
    app: the application.
    limits: of the connections.
    drain_s: seconds that running requests have left once it is to end.
  """
  config = uvicorn.Config(
    app,
    http=functools.partial(  # type: ignore[arg-type]
      Guarded, limits=limits, crowd=Crowd(limits.max_connections)
    ),
    loop="asyncio",
    ws="none",
    log_config=None,
    log_level="error",
    access_log=False,
    server_header=False,
    h11_max_incomplete_event_size=_MOST_HEAD,
    timeout_keep_alive=int(limits.idle_s),
    timeout_graceful_shutdown=int(drain_s),
  )
  # It warns of every piece that is sent to somebody who has just gone.
  logging.getLogger("asyncio").setLevel(logging.ERROR)
  return Server(config)


def listen(host: str, port: int) -> socket.socket:
  """A socket that waits for connections."""
  family = socket.AF_INET6 if ":" in host else socket.AF_INET
  return socket.create_server((host, port), family=family, backlog=1024)
