"""Answers a request that was understood, whole or as a stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from experiments.serving import answers, hub
from experiments.serving.asked import Asked
from experiments.serving.refusals import Refused
from experiments.serving.service import Service
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.generate import next_token
from qsharp_jax.serving import engine as engine_lib
from qsharp_jax.serving import scoring

# New text of a choice: its number, the text, its tokens, why it is over.
Update = tuple[int, str, answers.Scored, str | None]


class Reply:
  """The answers to one request."""

  def __init__(
    self, asked: Asked, service: Service, center: hub.Hub, prompts: "Prompts"
  ):
    """Asks nothing yet."""
    self._asked, self._service, self._hub = asked, service, center
    self._prompts = prompts
    self._writer = answers.Writer(service, asked)
    number = len(asked.prompts) * asked.num_samples
    self._answers = [answers.Answer(i, service, asked) for i in range(number)]

  async def whole(self) -> dict[str, Any]:
    """The object of all answers.

    Raises:
      Refused: no room, or the engine failed.
    """
    number = len(self._answers)
    texts, reasons = [""] * number, ["length"] * number
    found: list[answers.Scored] = [[] for _ in range(number)]
    async for i, text, scored, reason in self._updates():
      texts[i] += text
      found[i] += scored
      reasons[i] = reason or reasons[i]
    return self._writer.whole(texts, found, reasons, self._usage())

  async def stream(self) -> AsyncIterator[bytes]:
    """Server-sent events; a fault after the first is one of them."""
    offsets = [-1] * len(self._answers)
    async for i, text, found, reason in self._updates():
      is_first, offset = offsets[i] < 0, max(0, offsets[i])
      offsets[i] = offset + len(text)
      if text or found or reason or is_first:
        yield event(
          self._writer.part(
            i, text, found, reason, offset=offset, is_first=is_first
          )
        )
    if self._asked.has_usage:
      yield event(self._writer.end(self._usage()))
    yield b"data: [DONE]\n\n"

  def _usage(self) -> dict[str, int]:
    return answers.usage(
      self._asked, sum(answer.num_tokens for answer in self._answers)
    )

  async def _updates(self) -> AsyncIterator[Update]:
    if self._asked.is_echoed:
      async for update in self._echo():
        yield update
    if not self._asked.jobs:
      return
    with self._hub.opened(self._asked.jobs) as (tickets, queue):
      owners = dict(zip(tickets, self._answers, strict=True))
      while owners:
        progress = await queue.get()
        answer = owners.get(progress.ticket)
        if answer is None:  # stopped by a string, and there was more
          continue
        if progress.error:
          raise Refused(
            f"the engine failed: {progress.error}", status=500, code="engine"
          )
        text, found = answer.add(progress)
        if answer.reason:
          self._hub.drop([progress.ticket])
          del owners[progress.ticket]
        yield answer.index, text, found, answer.reason

  async def _echo(self) -> AsyncIterator[Update]:
    """The prompts as the beginning of their answers."""
    asked = self._asked
    for i, prompt in enumerate(asked.prompts):
      text, found = self._service.tokenizer.decode(prompt), []
      if asked.num_top is not None:
        found = await self._prompts.score(prompt, asked.num_top)
      for j in range(asked.num_samples):
        is_all = None if asked.jobs else "length"
        yield i * asked.num_samples + j, text, found, is_all


class Prompts:
  """Scores prompts between two turns of the engine."""

  def __init__(
    self, engine: engine_lib.Engine, params: PyTree, center: hub.Hub
  ):
    """Scores by the reference."""
    self._engine, self._params, self._hub = engine, params, center

  async def score(self, prompt: list[int], num_top: int) -> answers.Scored:
    """The prompt's tokens; of the first one nothing is known.

    Raises:
      Refused: the server closes.
    """
    sizes = self._engine.sizes

    def run() -> tuple[Any, next_token.Top]:
      return scoring.score(
        self._engine.policy.reference,
        self._params["reference"],
        prompt,
        width=sizes.width(len(prompt)),
        num_top=self._engine.policy.num_top,
      )

    with hub.refusing():
      waiting = self._hub.runner.call(run)
    log_probs, top = await asyncio.wrap_future(waiting)
    rest = answers.scored(prompt[1:], log_probs, top, num_top)
    return [(prompt[0], None, {}), *rest]


def event(content: dict[str, Any]) -> bytes:
  """A server-sent event."""
  return b"data: " + json.dumps(content).encode() + b"\n\n"
