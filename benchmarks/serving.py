r"""Does the server keep its word with many clients, and what does it cost?

  python -m benchmarks.serving --workdir=runs/gsm8k-tiny load memory throughput

load: clients that ask for minutes, streams and not, with mixed methods and
etas; every answer is compared with offline decoding at the same seed. memory:
of the server over many short requests. throughput: tokens a second beside
offline decoding, of random models of --width, large enough that a turn is worth
serving. Each prints one line of JSON.
"""

import contextlib
import dataclasses
import json
import pathlib
import random
import tempfile
import threading
import time
from typing import Any

import jax
from absl import app, flags
from flax import linen as nn

from benchmarks import measure, servers
from experiments.serving import guides
from qsharp_jax import generate, models, sharding
from qsharp_jax.checkpoint import huggingface, saving
from qsharp_jax.core import places, seeds

_WORKDIR = flags.DEFINE_string("workdir", "runs/gsm8k-tiny", "A finished run.")
_CLIENTS = flags.DEFINE_integer("clients", 64, "Clients at one time.")
_SECONDS = flags.DEFINE_float("seconds", 120, "Of the load.")
_REQUESTS = flags.DEFINE_integer("requests", 10_000, "Of the memory's test.")
_ROWS = flags.DEFINE_integer("num_rows", 32, "Rows of the server.")
_WIDTH = flags.DEFINE_integer("width", 512, "Of throughput's models.")
_NEW = flags.DEFINE_integer("new", 64, "Tokens of throughput's answers.")
_ANSWERS = flags.DEFINE_integer("answers", 256, "Of throughput, in all.")

_ETAS = (0.05, 0.1, 0.2, 0.5)
_METHODS = ("reference", "qsharp", "cd", "vas", "fudge")
_MOST = 16  # tokens of an answer of the load


def main(argv: list[str]) -> None:
  """Measures what is named, everything if nothing is."""
  known = {"load": load, "memory": memory, "throughput": throughput}
  for name in argv[1:] or known:
    print(json.dumps({"what": name} | known[name]()), flush=True)


def load() -> dict[str, Any]:
  """Mixed clients, and whether they get what offline decoding gives."""
  asked, errors = [], []
  with _server() as server:
    started = time.monotonic()
    ends = started + _SECONDS.value

    def work(index: int) -> None:
      rng = random.Random(index)
      with contextlib.closing(server.connect()) as connection:
        while time.monotonic() < ends:
          body = _body(rng)
          try:
            asked.append((body, _texts(server, connection, body, rng)))
          except Exception as error:
            errors.append(repr(error))
            connection.close()

    _at_once(work)
    seconds = time.monotonic() - started
    counts, peak = server.counts(), server.megabytes()[1]
  wanted = _offline([body for body, _ in asked])
  wrong = [b for b, t in asked if t != wanted[json.dumps(b, sort_keys=True)]]
  return {
    "requests": len(asked),
    "seconds": round(seconds, 1),
    "errors": len(errors),
    "first_error": errors[:1],
    "different": len(wrong),
    "first_different": wrong[:1],
    "tokens": counts["qsharp_completion_tokens_total"],
    "megabytes": peak,
  }


def memory() -> dict[str, Any]:
  """The server's memory after a tenth of many requests, and after all."""
  left, lock, found = [_REQUESTS.value], threading.Lock(), []
  with _server() as server:

    def work(index: int) -> None:
      rng = random.Random(index)
      with contextlib.closing(server.connect()) as connection:
        while True:
          with lock:
            if left[0] <= 0:
              return
            left[0] -= 1
            if left[0] % (_REQUESTS.value // 10) == 0:
              found.append(server.megabytes()[0])
          status, _ = server.post(connection, _body(rng) | {"max_tokens": 4})
          if status != 200:
            raise RuntimeError(f"status {status}")

    started = time.monotonic()
    _at_once(work)
    seconds = time.monotonic() - started
  return {
    "requests": _REQUESTS.value,
    "requests_a_second": round(_REQUESTS.value / seconds, 1),
    "megabytes": [round(x) for x in found],
  }


def throughput() -> dict[str, Any]:
  """Tokens a second of the server, beside `generate.generate`."""
  with tempfile.TemporaryDirectory() as directory:
    named = _models(pathlib.Path(directory))
    offline, computed = _offline_throughput(named)
    own = [f"--reference={named[0]}", f"--value={named[1]}"]
    own += ["--max_length=128", f"--max_new_tokens={_NEW.value}"]
    with servers.running(*own, f"--num_rows={_ROWS.value}") as server:
      number = _ANSWERS.value // _CLIENTS.value

      def work(index: int) -> None:
        with contextlib.closing(server.connect(600)) as connection:
          for i in range(number):
            seed = index * number + i
            body = _long_body(seed)
            status, answer = server.post(connection, body)
            if status != 200:
              raise RuntimeError(str(answer))

      _at_once(work, 1)  # what the first requests must compile
      before, started = server.counts(), time.monotonic()
      busy = server.processor_seconds()
      _at_once(work)
      seconds = time.monotonic() - started
      busy = server.processor_seconds() - busy
      after = server.counts()
  name = "qsharp_completion_tokens_total"
  number = after[name] - before[name]
  served = number / seconds
  return measure.describe() | {
    "rows": _ROWS.value,
    "clients": _CLIENTS.value,
    "width": _WIDTH.value,
    "offline_tokens_a_second": round(offline, 1),
    "served_tokens_a_second": round(served, 1),
    "ratio": round(served / offline, 3),
    # Of tokens a second of computing: what others on the machine take is out.
    "ratio_of_computing": round(number / busy / computed, 3),
  }


def _server() -> contextlib.AbstractContextManager[servers.Server]:
  flags = f"--workdir={_WORKDIR.value}", f"--num_rows={_ROWS.value}"
  return servers.running(*flags)


def _at_once(work: Any, number: int | None = None) -> None:
  """Runs clients in threads; the first error of any is raised."""
  errors = []

  def guarded(index: int) -> None:
    try:
      work(index)
    except Exception as error:
      errors.append(error)

  threads = [
    threading.Thread(target=guarded, args=(i,))
    for i in range(number or _CLIENTS.value)
  ]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  if errors:
    raise errors[0]


def _body(rng: random.Random) -> dict[str, Any]:
  """One of a few thousand requests."""
  a, b = rng.randrange(2, 8), rng.randrange(2, 8)
  question = f"Ann has {a} pens. She buys {b}. How many pens does Ann have?"
  return {
    "prompt": f"Question: {question}\nAnswer:\n",
    "method": rng.choice(_METHODS),
    "eta": rng.choice(_ETAS),
    "seed": rng.randrange(2),
    "n": rng.choice([1, 1, 2]),
    "max_tokens": _MOST,
  }


def _long_body(seed: int) -> dict[str, Any]:
  prompt = [2 + (seed * 31 + i) % 400 for i in range(16)]
  return {"prompt": prompt, "seed": seed, "max_tokens": _NEW.value, "eta": 0.1}


def _texts(
  server: servers.Server, connection: Any, body: dict[str, Any], rng: Any
) -> list[str]:
  if rng.random() < 0.5:
    texts = server.stream(connection, body)
    return [texts[i] for i in range(body["n"])]
  status, answer = server.post(connection, body)
  if status != 200:
    raise RuntimeError(f"status {status}: {answer}")
  return [choice["text"] for choice in answer["choices"]]


def _offline(bodies: list[dict[str, Any]]) -> dict[str, list[str]]:
  """The texts that `generate.generate` gives, by request."""
  where = sharding.layout.over_weights()
  found = {}
  with where.context():
    guide = guides.of_run(places.absolute(_WORKDIR.value), where, 0)
    sampling = dataclasses.replace(
      guide.sampling, max_new_tokens=_MOST, batch_size=64
    )
    for method in _METHODS:
      own = {json.dumps(b, sort_keys=True): b for b in bodies}
      own = {k: b for k, b in own.items() if b["method"] == method}
      policy = _policy(guide, method)
      requests = [_request(body, guide) for body in own.values()]
      answers = generate.generate(
        policy, guide.params, requests, sampling, place=where.place
      )
      for (key, body), samples in zip(own.items(), answers, strict=True):
        texts = [guide.tokenizer.decode(s.tokens) for s in samples]
        found[key] = texts[: body["n"]]
  return found


def _policy(guide: guides.Guide, method: str) -> generate.Policy:
  member = guide.policy.guidance.members[guide.methods[method]]
  return dataclasses.replace(guide.policy, guidance=member)


def _request(body: dict[str, Any], guide: guides.Guide) -> generate.Request:
  prompt = body["prompt"]
  if isinstance(prompt, str):
    prompt = [*guide.tokenizer.bos_ids, *guide.tokenizer.encode(prompt)]
  own = seeds.of_samples(body["seed"], prompt, 2)
  is_guided = body["method"] != "reference"
  return generate.Request(
    prompt, own, body["eta"] if is_guided else float("inf")
  )


def _models(directory: pathlib.Path) -> list[str]:
  """Random models with the run's tokenizer."""
  source = pathlib.Path(_WORKDIR.value) / "reference" / "model"
  raw = huggingface.read_config(source)
  width = _WIDTH.value
  config = dataclasses.replace(
    huggingface.families.from_hf(raw),
    width=width,
    num_heads=8,
    num_kv_heads=8,
    head_width=width // 8,
    mlp_width=3 * width,
    num_layers=8,
    max_length=256,
  )
  head = models.HeadConfig("v", 1)
  reference, value = (
    models.LanguageModel(config),
    models.ValueModel(config, head),
  )
  tokens = jax.numpy.zeros((1, 2), jax.numpy.int32)
  draw = lambda model, seed: nn.unbox(
    jax.jit(model.init)(jax.random.key(seed), tokens, tokens)
  )
  own, other = draw(reference, 0), draw(value, 1)
  names = directory / "reference", directory / "value"
  family, ids = raw["model_type"], huggingface.token_ids(source)
  saving.save_language_model(names[0], config, own, family, ids)
  saving.save_value_model(names[1], config, head, other, family, ids)
  for file in source.glob("*token*.json"):
    for name in names:
      (name / file.name).write_bytes(file.read_bytes())
  return list(map(str, names))


def _offline_throughput(named: list[str]) -> tuple[float, float]:
  """Tokens a second, and a second of computing."""
  where = sharding.layout.over_weights()
  with where.context():
    guide = guides.of_models(*named, "float32")
    bodies = [
      _long_body(i) | {"method": "qsharp"} for i in range(_ANSWERS.value)
    ]
    requests = [
      dataclasses.replace(r, seeds=r.seeds[:1])
      for r in (_request(body, guide) for body in bodies)
    ]
    sampling = dataclasses.replace(
      guide.sampling,
      max_new_tokens=_NEW.value,
      batch_size=_ROWS.value,
      prompts_per_refill=8,
    )
    policy = _policy(guide, "qsharp")

    def run(requests: list[generate.Request]) -> int:
      answers = generate.generate(
        policy, guide.params, requests, sampling, place=where.place
      )
      return sum(len(sample.tokens) for (sample,) in answers)

    run(requests[: 2 * _ROWS.value])  # compiles
    started, busy = time.monotonic(), time.process_time()
    number = run(requests)
    seconds, busy = time.monotonic() - started, time.process_time() - busy
    return number / seconds, number / busy


if __name__ == "__main__":
  app.run(main)
