r"""An OpenAI-compatible endpoint over guided decoding.

  python -m experiments.serve --workdir=runs/tiny --port=8000
  curl localhost:8000/v1/chat/completions -H "Content-Type: application/json" \
    -d '{"messages": [{"role": "user", "content": "…"}], "eta": 0.1}'

or, without a run, --reference=DIR --value=DIR. docs/serving.md says what a
request may hold. Needs the extra `serve`: pip install -e '.[serve]'.
"""

import asyncio
import dataclasses
import functools
import ipaddress
import time
from typing import Any

from absl import flags

from experiments.harness import console, memory_checks
from experiments.serving import guides
from experiments.serving.service import Defaults, Limits, Service
from qsharp_jax import sharding
from qsharp_jax.core import errors, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import memory
from qsharp_jax.serving import engine as engine_lib
from qsharp_jax.serving import jobs, runner, scoring

_WORKDIR = flags.DEFINE_string("workdir", "", "A finished run.")
_ROUND = flags.DEFINE_integer("round", 0, "Round of the values; 0 is the last.")
_REFERENCE = flags.DEFINE_string(
  "reference", "", "Instead of a run: a Hugging Face directory or Hub name."
)
_VALUE = flags.DEFINE_string("value", "", "Its value model's directory.")
_DTYPE = flags.DEFINE_enum(
  "dtype", "float32", ["float32", "bfloat16"], "Of models that flags name."
)
_HOST = flags.DEFINE_string("host", "127.0.0.1", "Where to listen.")
_PORT = flags.DEFINE_integer("port", 8000, "0 takes a free one.", 0, 65535)
_NAME = flags.DEFINE_string(
  "name", "", "Of the model; the directory's if empty."
)
_TOKEN_FILE = flags.DEFINE_string(
  "token_file", "", "A file with the API key that requests must bear."
)
_METHOD = flags.DEFINE_string("method", "", "Of requests that do not say.")
_ETA = flags.DEFINE_float("eta", 0.1, "Of requests that do not say.", 1e-6)
_ROWS = flags.DEFINE_integer("num_rows", 32, "Answers at one time.", 1)
_ENTERING = flags.DEFINE_integer(
  "num_entering", 8, "Prompts that are read together.", 1
)
_TURNS = flags.DEFINE_integer(
  "num_turns", 8, "Tokens between two chances to join and to hear.", 1
)
_LENGTH = flags.DEFINE_integer(
  "max_length", 0, "Tokens of prompt and answer; 0: the context, at most 2048."
)
_NEW = flags.DEFINE_integer(
  "max_new_tokens", 0, "Of an answer; 0: as in the run, or half of max_length."
)
_BODY = flags.DEFINE_integer("max_body", 1 << 20, "Bytes of a request.", 1)
_QUEUE = flags.DEFINE_integer("max_queue", 1024, "Answers not over.", 1)
_CONNECTIONS = flags.DEFINE_integer("max_connections", 512, "Open ones.", 1)
_TIME = flags.DEFINE_float("timeout", 600, "Seconds of a request.", 0.1)
_DRAIN = flags.DEFINE_float("drain", 60, "Seconds left after SIGTERM.", 0)

_NUM_TOP = 5  # alternatives to every token that can be asked for


def main(argv: list[str]) -> int:
  """Loads, compiles, then serves until a signal comes."""
  del argv
  token, name = _token(), _name()
  # A busy batch has rows for all devices; a model may need all of them.
  where = sharding.layout.over_weights()
  with where.context():
    guide = _guide(where)
    policy = dataclasses.replace(
      guide.policy,
      num_top=min(_NUM_TOP, guide.policy.reference.config.vocab_size),
    )
    guide, sizes = dataclasses.replace(guide, policy=policy), _sizes(guide)
    _check_memory(guide, sizes, where)
    engine = engine_lib.Engine(policy, guide.params, sizes, place=where.place)
    start = time.monotonic()
    engine.warm()
    for width in sizes.widths:  # of prompts that are echoed with their numbers
      scoring.score(
        policy.reference,
        guide.params["reference"],
        [0],
        width=width,
        num_top=policy.num_top,
      )
  print(f"compiled in {time.monotonic() - start:.1f} s", flush=True)
  service = _service(guide, sizes, name)
  asyncio.run(serve(service, engine, guide.params, where, token))
  return 0


async def serve(
  service: Service,
  engine: engine_lib.Engine,
  params: Any,
  where: sharding.Layout,
  token: str | None,
) -> None:
  """Serves until a signal comes, then lets running requests end."""
  # Needs the extra `serve`.
  from experiments.serving import app, connections, hub, metrics, replies

  center = hub.Hub(asyncio.get_running_loop())
  center.runner = runner.Runner(
    engine,
    center.deliver,
    max_queue=service.limits.max_queue,
    within=where.context,
  )
  counts = metrics.Metrics(engine, center)
  prompts = replies.Prompts(engine, params, center)
  endpoint = app.Endpoint(service, center, prompts, counts)
  socket = connections.listen(_HOST.value, _PORT.value)
  host, port = socket.getsockname()[:2]
  inner = endpoint.app(token=token, is_local=_is_loopback(host))
  server = connections.server(inner, service.limits, drain_s=_DRAIN.value)
  shown = f"[{host}]" if ":" in host else host
  print(f"serving {service.name} at http://{shown}:{port}/v1", flush=True)
  await server.serve([socket])
  await asyncio.to_thread(center.runner.close, 5.0)
  print("drained", flush=True)


def _guide(where: sharding.Layout) -> guides.Guide:
  if _WORKDIR.value:
    workdir = places.absolute(_WORKDIR.value)
    return guides.of_run(workdir, where, _ROUND.value)
  return guides.of_models(_REFERENCE.value, _VALUE.value, _DTYPE.value)


def _name() -> str:
  if bool(_WORKDIR.value) == bool(_REFERENCE.value):
    raise InputError(
      "expected either --workdir, a finished run, or --reference, a model"
    )
  place = places.absolute(_WORKDIR.value or _REFERENCE.value)
  return _NAME.value or place.name


def _token() -> str | None:
  if not _TOKEN_FILE.value:
    return None
  with errors.foreign(
    f"--token_file {_TOKEN_FILE.value} cannot be read", "name a file of text"
  ):
    found = places.path(_TOKEN_FILE.value).read_text().strip()
  if not found or not found.isascii() or not found.isprintable():
    raise InputError(
      f"{_TOKEN_FILE.value} holds no key; expected one line of ASCII characters"
    )
  return found


def _sizes(guide: guides.Guide) -> jobs.Sizes:
  length = _LENGTH.value or min(guide.context, 2048)
  if not 2 <= length <= guide.context:
    raise InputError(
      f"--max_length is {length}; expected 2 to {guide.context}, the models' "
      "context"
    )
  own = guide.sampling.max_new_tokens if _WORKDIR.value else length // 2
  new = _NEW.value or min(own, length - 1)
  if not 0 < new < length:
    raise InputError(
      f"--max_new_tokens is {new}; expected 1 to {length - 1}, below "
      "--max_length"
    )
  return jobs.Sizes(
    num_rows=_ROWS.value,
    max_length=length,
    max_new_tokens=new,
    prompt_bucket=min(guide.sampling.prompt_bucket, length),
    num_entering=min(_ENTERING.value, _ROWS.value),
    num_turns=_TURNS.value,
  )


def _check_memory(
  guide: guides.Guide, sizes: jobs.Sizes, where: sharding.Layout
) -> None:
  def predict(num_rows):
    return memory.needed(
      guide.policy,
      batch_size=num_rows,
      # Not all prompts are that long at one time, but they may be.
      prompt_length=sizes.max_length - sizes.max_new_tokens,
      max_new_tokens=sizes.max_new_tokens,
      num_newcomers=min(sizes.num_entering, num_rows),
      mesh=where.mesh,
    )

  memory.check(predict, sizes.num_rows, memory_checks.available(where))


def _service(guide: guides.Guide, sizes: jobs.Sizes, name: str) -> Service:
  method = _METHOD.value or guide.method
  if method not in guide.methods:
    raise InputError(
      f"--method is {method!r}; expected one of {', '.join(guide.methods)}"
    )
  return Service(
    name,
    guide.methods,
    Defaults(
      method,
      _ETA.value,
      guide.policy.most_candidates,
      guide.sampling.temperature,
      guide.sampling.top_p,
    ),
    Limits(
      max_body=_BODY.value,
      max_queue=_QUEUE.value,
      max_connections=_CONNECTIONS.value,
      time_s=_TIME.value,
    ),
    sizes,
    guide.tokenizer,
    guide.render,
    functools.partial(jobs.check, guide.policy, sizes),
    guide.policy.num_top,
    max(16, *map(len, guide.tokenizer.hf.get_vocab())),
    int(time.time()),
    tuple(guide.stops),
  )


def _is_loopback(host: str) -> bool:
  return ipaddress.ip_address(host).is_loopback


if __name__ == "__main__":
  console.run(main)
