r"""What does it bring to leave nothing of Algorithm 1 to the host?

  python -m benchmarks.program

Star graphs G(2, 3) in the sizes of `star_graph:tiny`, random weights, guided up
to a random switch. Two questions, each through the host (text, a grading
process) and on the devices, in turns:

1. Rollouts a second of collecting into a store.
2. Steps a second: a batch of rollouts, its labels, and updates of the values on
   rows of it; on the devices all of that is one program.

Tokens and rewards of both are compared: they must be the same. Prints a table
and one line of JSON.
"""

import pathlib
import statistics
import tempfile

import jax
import numpy as np
from absl import app, flags

from benchmarks import measure, steps
from qsharp_jax import (
  data,
  generate,
  models,
  pipeline,
  rewards,
  rollout,
  training,
)
from qsharp_jax.generate import reading
from qsharp_jax.rollout import buffer as buffer_lib
from qsharp_jax.rollout import collect, on_device, program, store, trajectories
from qsharp_jax.tasks import star_graph

_ROWS = flags.DEFINE_integer("rows", 512, "Graphs of a batch.")
_BATCHES = flags.DEFINE_integer("batches", 8, "Batches that are collected.")
_UPDATES = flags.DEFINE_integer("updates", 4, "Of the values, in a step.")
_SCORED = flags.DEFINE_integer("scored", 4, "Candidates scored at once.")
_REPEATS = flags.DEFINE_integer("repeats", 5, "Timed runs; medians are shown.")

_NEW, _PROMPT = 4, 11  # tokens
_PLAN = rollout.Plan(1, 7, eta=0.1, rule="algorithm1", horizon=_NEW)


def main(argv: list[str]) -> None:
  """Measures and prints."""
  del argv
  with (
    tempfile.TemporaryDirectory() as folder,
    rewards.GradingPool("path") as p,
  ):
    bench = Bench(pathlib.Path(folder), p)
    result = measure.describe("flax") | {
      "rows": _ROWS.value,
      "batches": _BATCHES.value,
      "updates": _UPDATES.value,
      "scored": _SCORED.value,
      "repeats": _REPEATS.value,
    }
    amount = {"collect": _ROWS.value * _BATCHES.value, "step": 1}
    units = {"collect": "rollouts", "step": "steps"}
    for what, runs in bench.runs().items():
      for run in runs.values():
        run()  # compiles
      seconds = measure.in_turns(runs, _REPEATS.value)
      speed = {
        n: amount[what] / statistics.median(s) for n, s in seconds.items()
      }
      for name, value in speed.items():
        result[f"{name}_{units[what]}_per_second"] = value
      result[f"{what}_device_over_host"] = speed["device"] / speed["host"]
    result["same_rollouts"] = bench.is_same()
  measure.show(result)


class Bench:
  """The models, the graphs, and both ways to learn from them."""

  def __init__(self, folder: pathlib.Path, pool: rewards.GradingPool):
    """Makes random models, and graphs to sample."""
    self._folder, self._pool = folder, pool
    self._num_stores = 0
    task = star_graph.StarGraphs(
      degree=2, path_length=3, num_nodes=10,
      num_train=_ROWS.value * _BATCHES.value, num_test=1, num_corpus=1,
      mistake_rate=0.0, max_new_tokens=_NEW, max_length=_PROMPT + _NEW,
    )  # fmt: skip
    _, self._tokenizer = task.corpus(folder / "tokenizer")
    self._problems = [
      rollout.Problem(
        q.id,
        self._tokenizer.encode(q.question),
        q.answer,
        "train",
      )
      for q in task.questions()["train"]
    ]
    reference = _config(self._tokenizer.vocab_size, num_layers=3)
    value = _config(self._tokenizer.vocab_size, num_layers=5)
    self._policy = generate.Policy(
      models.LanguageModel(reference),
      self._tokenizer.eos_ids,
      models.ValueModel(value, models.HeadConfig("v", 1)),
      generate.Guidance("qsharp"),
      num_candidates=10,
      num_scored=_SCORED.value,
      is_truncated=True,
    )
    self._params = steps.weights(self._policy)
    self._sampling = generate.Sampling(
      max_new_tokens=_NEW, batch_size=_ROWS.value,
      prompts_per_refill=_ROWS.value, prompt_bucket=_PROMPT,
    )  # fmt: skip
    self._reward = on_device.path(self._tokenizer, max_new_tokens=_NEW)
    optimizer = training.step.adamw(learning_rate=1e-3, num_steps=1000)
    self._update = training.step.make_step(
      training.objectives.value(self._policy.value, loss="bernoulli"), optimizer
    )
    copy = lambda: jax.tree.map(np.copy, self._params["value"])
    self._states = {
      name: training.step.create(jax.device_put(copy()), optimizer)
      for name in ("host", "device")
    }

  def runs(self):
    """What is timed, by what it answers and where it runs."""
    self._step = program.make_step(
      self._policy, self._reward.pay, self._update,
      num_new_tokens=_NEW, num_updates=_UPDATES.value, batch_size=128,
    )  # fmt: skip
    self._buffer = self._empty()
    return {
      "collect": {
        "host": lambda: self._collect(None),
        "device": lambda: self._collect(self._devices()),
      },
      "step": {"host": self._host_step, "device": self._device_step},
    }

  def is_same(self) -> bool:
    """Whether the last two stores hold the same tokens and rewards."""
    one, other = (
      store.read(self._folder / f"store-{self._num_stores - i}") for i in (0, 1)
    )
    pairs = zip(one.tokens, other.tokens, strict=True)
    is_same = all(np.array_equal(a, b) for a, b in pairs)
    return is_same and np.array_equal(one.label, other.label)

  def _sampler(self, devices: on_device.Sampler | None) -> rollout.Sampler:
    return rollout.Sampler(
      lambda requests: generate.generate(
        self._policy, self._params, requests, self._sampling
      ),
      _ROWS.value,
      self._tokenizer.decode,
      self._pool.grade,
      devices=devices,
    )

  def _devices(self) -> on_device.Sampler:
    return on_device.Sampler(
      self._policy, self._params, self._sampling, self._reward, self._empty(),
      decode=self._tokenizer.decode, place=jax.device_put,
    )  # fmt: skip

  def _empty(self) -> buffer_lib.Buffer:
    return buffer_lib.empty(_BATCHES.value, _ROWS.value, _PROMPT + _NEW)

  def _collect(self, devices: on_device.Sampler | None) -> None:
    self._num_stores += 1
    directory = self._folder / f"store-{self._num_stores}"
    sampler = self._sampler(devices)
    list(collect.collect(sampler, self._problems, _PLAN, directory))

  def _host_step(self):
    """Samples, grades, packs and updates."""
    sampler = self._sampler(None)
    problems = self._problems[: _ROWS.value]
    (batch,) = collect.answer(sampler, [problems], _PLAN)
    found = rollout.Rollouts.of(collect.graded(sampler, _PLAN, batch))
    rows = pipeline.labelled.pack(found, length=_PROMPT + _NEW)
    loader = data.Loader(rows, batch_size=128, seed=0)
    for i in range(_UPDATES.value):
      chosen = loader.batch(i)
      chosen.pop("sequence_ids")
      self._states["host"], metrics = self._update(
        self._states["host"], jax.device_put(chosen)
      )
    return metrics

  def _device_step(self):
    """The same as one program, rows drawn from all that was aggregated."""
    problems = self._problems[: _ROWS.value]
    requests = [rollout.problems.requests(p, _PLAN)[0] for p in problems]
    prompts, positions = reading.right_align(
      [p.prompt for p in problems], bucket=_PROMPT
    )
    self._states["device"], self._buffer, _, metrics = self._step(
      self._params["reference"],
      self._states["device"],
      self._buffer,
      trajectories.Problems(prompts, positions, self._reward.answers(problems)),
      reading.make_controls(requests, 1, 0, self._sampling),
      jax.random.key(0),
    )
    return metrics


def _config(vocab_size: int, *, num_layers: int) -> models.DecoderConfig:
  return models.DecoderConfig(
    vocab_size=vocab_size, width=64, num_layers=num_layers, num_heads=2,
    num_kv_heads=2, head_width=32, mlp_width=192, max_length=128,
  )  # fmt: skip


if __name__ == "__main__":
  app.run(main)
