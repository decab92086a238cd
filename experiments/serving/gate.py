"""What every request passes: who asks, whose host it names, what went wrong."""

import asyncio
import contextlib
import hmac
import json
import logging
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from experiments.serving.metrics import Metrics
from experiments.serving.refusals import Refused
from experiments.serving.service import Limits
from qsharp_jax.core import errors

_logger = logging.getLogger(__name__)
_LOCAL = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")


class Gate:
  """An ASGI application around another one."""

  def __init__(
    self, app: Any, metrics: Metrics, *, token: str | None, is_local: bool
  ):
    """Guards an application.

    Args:
      app: the endpoint.
      metrics: counts requests.
      token: that requests must bear; None: anybody may ask.
      is_local: whether only this machine is served, so that a page from
        elsewhere, by a name that leads here, is refused.
    """
    self._app, self._metrics = app, metrics
    self._token, self._is_local = token, is_local

  async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
    """Lets a request pass, or answers it with a refusal."""
    if scope["type"] != "http":
      await self._app(scope, receive, send)
      return
    start, status = time.monotonic(), 499  # gone without an answer

    async def noting(message: Any) -> None:
      nonlocal status
      status = message.get("status", status)
      await send(message)

    self._metrics.num_active += 1
    try:
      self._check(Request(scope))
      await self._app(scope, receive, noting)
    except Refused as refused:
      await refusal(refused)(scope, receive, noting)
    finally:
      self._metrics.num_active -= 1
      seconds = time.monotonic() - start
      self._metrics.count(scope["path"], status, seconds)

  def _check(self, request: Request) -> None:
    host = request.headers.get("host", "")
    if self._is_local and not _LOCAL.fullmatch(host):
      raise Refused(
        f"the host is {errors.short(host, 80)}; expected localhost, which is "
        "all that this server serves",
        status=403,
      )
    if self._token is None or request.url.path == "/health":
      return
    given = request.headers.get("authorization", "").encode()
    wanted = f"Bearer {self._token}".encode()
    if not hmac.compare_digest(given, wanted):
      raise Refused(
        "the API key is missing or wrong; expected the header Authorization: "
        "Bearer KEY",
        status=401,
        code="invalid_api_key",
      )


def refusal(refused: Refused) -> Response:
  """A refusal as a response."""
  headers = {}
  if refused.retry_after:
    headers["retry-after"] = str(refused.retry_after)
  if refused.status in (408, 413):
    headers["connection"] = "close"  # the rest of the body is not awaited
  return JSONResponse(refused.body, refused.status, headers)


def unknown(request: Request, error: HTTPException) -> Response:
  """A path or a verb that does not exist."""
  message = f"{request.method} {request.url.path}: {error.detail}"
  return refusal(Refused(message[:200], status=error.status_code))


def broken(request: Request, error: Exception) -> Response:
  """A fault of the server's; the details are for its log."""
  _logger.error("a request failed", exc_info=error)
  return refusal(Refused("the server failed; see its log", status=500))


async def body(request: Request, limits: Limits) -> Any:
  """The JSON of a request, within its limits.

  Raises:
    Refused: another type, too large, too slow, or no JSON.
  """
  kind = request.headers.get("content-type", "").partition(";")[0].strip()
  if kind != "application/json":
    raise Refused(
      f"the content type is {errors.short(kind, 80)}; expected "
      "application/json",
      status=415,
    )
  length = request.headers.get("content-length", "0")
  _check_size(int(length) if length.isdigit() else 0, limits)
  found = bytearray()
  try:
    async with asyncio.timeout(limits.read_s):
      async for piece in request.stream():
        found += piece
        _check_size(len(found), limits)
  except TimeoutError as error:
    raise Refused(
      f"the body took more than {limits.read_s:g} s", status=408
    ) from error
  return parse(bytes(found))


def _check_size(size: int, limits: Limits) -> None:
  if size > limits.max_body:
    raise Refused(
      f"the body has {size} bytes or more; expected at most {limits.max_body}",
      status=413,
    )


def parse(raw: bytes) -> Any:
  """JSON as the standard has it.

  Raises:
    Refused: anything else.
  """

  def constant(name: str) -> Any:
    raise ValueError(f"{name} is not of JSON")

  try:
    return json.loads(raw, parse_constant=constant)
  except (ValueError, RecursionError) as error:
    raise Refused(
      f"the body is not JSON ({errors.reason(error)})", code="invalid_json"
    ) from error


@contextlib.asynccontextmanager
async def limited(seconds: float) -> AsyncIterator[None]:
  """Gives what is inside so much time.

  Raises:
    Refused: the time is over.
  """
  try:
    async with asyncio.timeout(seconds):
      yield
  except TimeoutError as error:
    raise Refused(
      "the answer took more time than this server gives; ask for fewer tokens",
      status=504,
      code="timeout",
    ) from error


async def unless_gone(
  request: Request, work: Callable[[], Awaitable[Any]]
) -> Any:
  """Works until the client has gone.

  Raises:
    ClientGone: nobody is there to take the answer.
  """
  tasks = [
    asyncio.ensure_future(work()),
    asyncio.ensure_future(_gone(request)),
  ]
  try:
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if not tasks[0].done():
      raise ClientGone
    return tasks[0].result()
  finally:
    for task in tasks:
      task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


class ClientGone(Exception):
  """The client has closed the connection."""


async def _gone(request: Request) -> None:
  while (await request.receive())["type"] != "http.disconnect":
    pass
