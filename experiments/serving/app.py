"""The routes of the endpoint."""

import contextlib
import time
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from experiments.serving import asked as asked_lib
from experiments.serving import gate, hub, replies
from experiments.serving.metrics import Metrics
from experiments.serving.refusals import Refused
from experiments.serving.service import Service

_EVENTS = [
  (b"content-type", b"text/event-stream; charset=utf-8"),
  (b"cache-control", b"no-cache"),
]


class Endpoint:
  """Answers the requests of OpenAI's API."""

  def __init__(
    self,
    service: Service,
    center: hub.Hub,
    prompts: replies.Prompts,
    metrics: Metrics,
  ):
    """An endpoint for a running engine."""
    self._service, self._hub = service, center
    self._prompts, self._metrics = prompts, metrics

  def app(self, *, token: str | None, is_local: bool) -> Any:
    """The ASGI application; `token` and `is_local` as for `gate.Gate`."""
    routes = [
      Route("/v1/completions", self._completions, methods=["POST"]),
      Route("/v1/chat/completions", self._chat, methods=["POST"]),
      Route("/v1/models", self._models),
      Route("/v1/models/{name:path}", self._model),
      Route("/health", self._health),
      Route("/metrics", self._counts),
    ]
    handlers = {
      HTTPException: gate.unknown,
      Refused: lambda _, refused: gate.refusal(refused),
      ClientDisconnect: lambda *_: Response(status_code=499),
      Exception: gate.broken,
    }
    inner = Starlette(routes=routes, exception_handlers=handlers)
    return gate.Gate(inner, self._metrics, token=token, is_local=is_local)

  async def _completions(self, request: Request) -> Response:
    return await self._answer(request, is_chat=False)

  async def _chat(self, request: Request) -> Response:
    return await self._answer(request, is_chat=True)

  async def _answer(self, request: Request, *, is_chat: bool) -> Response:
    limits = self._service.limits
    raw = await gate.body(request, limits)
    # Tokenising takes time, and lets other threads run meanwhile.
    asked = await run_in_threadpool(
      asked_lib.read, raw, self._service, is_chat=is_chat
    )
    reply = replies.Reply(asked, self._service, self._hub, self._prompts)
    if asked.is_streamed:
      return Stream(request, reply, limits.time_s)
    try:
      async with gate.limited(limits.time_s):
        found = await gate.unless_gone(request, reply.whole)
    except gate.ClientGone:
      return Response(status_code=499)  # which nobody reads
    return JSONResponse(found)

  async def _models(self, _: Request) -> Response:
    return JSONResponse({"object": "list", "data": [self._entry()]})

  async def _model(self, request: Request) -> Response:
    name = request.path_params["name"]
    if name != self._service.name:
      raise Refused(
        "there is no such model", status=404, code="model_not_found"
      )
    return JSONResponse(self._entry())

  def _entry(self) -> dict[str, Any]:
    service = self._service
    return {
      "id": service.name,
      "object": "model",
      "created": service.created,
      "owned_by": "qsharp-jax",
      "methods": list(service.methods),
      "max_length": service.sizes.max_length,
    }

  async def _health(self, _: Request) -> Response:
    if not self._hub.runner.is_alive:
      raise Refused("the engine has ended", status=503, code="engine")
    return JSONResponse({"status": "ok"})

  async def _counts(self, _: Request) -> Response:
    return PlainTextResponse(
      self._metrics.text(), media_type="text/plain; version=0.0.4"
    )


class Stream(Response):
  """Server-sent events, which end when the client goes."""

  def __init__(self, request: Request, reply: replies.Reply, seconds: float):
    """Streams a reply."""
    super().__init__()
    self._request, self._reply, self._seconds = request, reply, seconds
    self._start = time.monotonic()

  async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
    """Refuses as any response before the first event; then by an event."""
    pieces = self._reply.stream()

    async def work() -> None:
      async with contextlib.aclosing(pieces):
        async with self._limit():
          first = await anext(pieces)
        await _start(send)
        try:
          async with self._limit():
            await _send(send, first)
            async for piece in pieces:
              await _send(send, piece)
        except Refused as refused:
          await _send(send, replies.event(refused.body))
        await _send(send, b"", is_last=True)

    with contextlib.suppress(gate.ClientGone):
      await gate.unless_gone(self._request, work)

  def _limit(self) -> contextlib.AbstractAsyncContextManager[None]:
    return gate.limited(self._seconds - (time.monotonic() - self._start))


async def _start(send: Any) -> None:
  await send({"type": "http.response.start", "status": 200, "headers": _EVENTS})


async def _send(send: Any, body: bytes, *, is_last: bool = False) -> None:
  await send(
    {"type": "http.response.body", "body": body, "more_body": not is_last}
  )
