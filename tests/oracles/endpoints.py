"""A real server over tiny random models, in a thread of the tests' process."""

import asyncio
import contextlib
import dataclasses
import functools
import threading
import time

import openai
from oracles import engines, players

from experiments.serving import (
  app,
  connections,
  hub,
  metrics,
  replies,
  service,
)
from qsharp_jax import data
from qsharp_jax.serving import engine as engine_lib
from qsharp_jax.serving import jobs, runner

METHODS = {"reference": 0, "qsharp": 0, "cd": 1, "vas": 2, "fudge": 3}
LIMITS = service.Limits(
  max_body=4000,
  max_prompts=8,
  max_queue=40,
  max_connections=24,
  read_s=2.0,
  write_s=1.0,
  idle_s=2.0,
  time_s=300.0,
)
WORDS = [f"word{i}" for i in range(29)]


def make_service(tokenizer, **changes) -> service.Service:
  def render(messages):
    return tokenizer.encode(" ".join(turn["content"] for turn in messages))

  own = service.Service(
    name="tiny",
    methods=METHODS,
    defaults=service.Defaults("qsharp", 0.2, players.CANDIDATES, 1.0, 1.0),
    limits=LIMITS,
    sizes=engines.SIZES,
    tokenizer=tokenizer,
    render=render,
    check=functools.partial(jobs.check, engines.policy(), engines.SIZES),
    num_top=5,
    longest_token=11,
    created=0,
  )
  return dataclasses.replace(own, **changes)


@dataclasses.dataclass
class Running:
  """A server that listens."""

  port: int
  service: service.Service
  engine: engine_lib.Engine
  center: hub.Hub
  server: connections.Server
  thread: threading.Thread

  @property
  def url(self):
    return f"http://127.0.0.1:{self.port}"

  def client(self, **changes):
    own = {"api_key": "none", "max_retries": 0, "timeout": 300} | changes
    return openai.OpenAI(base_url=f"{self.url}/v1", **own)

  def wait_until_idle(self):
    for _ in range(500):
      if not self.center.runner.num_open and self.engine.is_idle:
        return
      time.sleep(0.02)
    raise AssertionError("rows or the queue are still in use")


@contextlib.contextmanager
def running(tokenizer, engine, *, token=None, **changes):
  """Serves until the block ends, then drains."""
  own = make_service(tokenizer, **changes)
  found, is_up = [], threading.Event()

  async def serve():
    center = hub.Hub(asyncio.get_running_loop())
    center.runner = runner.Runner(
      engine, center.deliver, max_queue=own.limits.max_queue
    )
    counts = metrics.Metrics(engine, center)
    prompts = replies.Prompts(engine, players.params("v"), center)
    inner = app.Endpoint(own, center, prompts, counts).app(
      token=token, is_local=True
    )
    socket = connections.listen("127.0.0.1", 0)
    server = connections.server(inner, own.limits, drain_s=30)
    port = socket.getsockname()[1]
    found.append((port, own, engine, center, server))
    is_up.set()
    await server.serve([socket])
    assert await asyncio.to_thread(center.runner.close, 10)

  thread = threading.Thread(target=lambda: asyncio.run(serve()))
  thread.start()
  assert is_up.wait(30)
  running = Running(*found[0], thread)
  try:
    yield running
  finally:
    running.server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


def make_tokenizer(directory):
  return data.new_tokenizers.word_level(WORDS, directory=directory)


class Idle:
  """An engine that is never asked for anything."""

  is_idle = True
  num_busy = num_waiting = num_read = num_written = 0
  sizes = engines.SIZES
  policy = engines.policy()

  def turn(self):
    return []
