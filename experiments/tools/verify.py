"""Whether the decode loop draws from what plain forward passes say.

Example, after `python -m experiments.gsm8k --workdir=runs/tiny`:
  python -m experiments.verify --workdir=runs/tiny

Draws answers of a run again, some of them waiting for the rows of others, and
prints the KL from the distribution that each token was drawn from to the one of
a pass without any cache, over the full vocabulary. Exits with 1 above --most.
"""

import dataclasses

import numpy as np
from absl import flags

from experiments.harness import console, runs, wiring
from qsharp_jax import pipeline, rollout, sharding
from qsharp_jax.core import places
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import guided
from qsharp_jax.pipeline import verifying

_WORKDIR = flags.DEFINE_string(
  "workdir", "runs/gsm8k", "A finished run of an experiment."
)
_METHOD = flags.DEFINE_string("method", "qsharp", "qsharp, cd, vas or fudge.")
_QUESTIONS = flags.DEFINE_integer(
  "num_questions", 16, "Test questions, > 0, an answer of each policy to each."
)
_MOST = flags.DEFINE_float(
  "most", 1e-5, "Greatest KL of a token, in nats, that is no fault."
)
_POSITIONS = flags.DEFINE_integer(
  "most_positions", 64, "Tokens of an answer that are compared, > 0."
)


def main(argv: list[str]) -> int:
  """Prints what was found; returns 1 if the loop and plain passes differ."""
  del argv
  for flag in (_QUESTIONS, _POSITIONS):
    if flag.value < 1:
      raise InputError(f"{flag.name} is {flag.value}; expected at least 1")
  guided.check(_METHOD.value)
  workdir = places.absolute(_WORKDIR.value)
  config = runs.config(workdir)
  stores = _stores(config, workdir)
  layout = sharding.layout.over_weights()
  with layout.context():
    run = runs.load(workdir, layout, own=config)
    sampling = dataclasses.replace(
      wiring.sampling(config), batch_size=4, prompts_per_refill=1
    )
    found = [
      verifying.verify(
        subject,
        sampling,
        place=layout.place,
        decode=run.tokenizer.decode,
        num_questions=_QUESTIONS.value,
        most_positions=_POSITIONS.value,
      )
      for subject in _subjects(run, *stores)
    ]
  for own in found:
    worst = own["worst"]
    print(
      f"{own['label']}: {own['tokens']} tokens of {own['answers']} answers, KL "
      f"{own['mean']:.2e} on average, at most {worst['kl']:.2e} nats: token "
      f"{worst['token']} ({worst['text']!r}) of sample {worst['sample']} of "
      f"{worst['question']}"
    )
  print(verifying.line(found))
  return int(max(own["worst"]["kl"] for own in found) > _MOST.value)


def _stores(config, workdir) -> tuple[places.Path, places.Path]:
  """Answers of the reference, and of the method at the first stored eta."""
  paths = pipeline.RunPaths(workdir)
  last = config.rounds.num_rounds
  stores = [
    paths.samples("test", f"{_METHOD.value}-eta{eta:g}-round{last}")
    for eta in sorted(config.evaluation.etas)
  ]
  stored = [store for store in stores if store.is_dir()]
  reference = paths.samples("test", "reference")
  if not stored or not reference.is_dir():
    raise InputError(
      f"{workdir} has no test answers of {_METHOD.value} and of the reference; "
      "expected a finished run: run its experiment to the end"
    )
  return reference, stored[0]


def _subjects(
  run: runs.Loaded, reference: places.Path, guided: places.Path
) -> list[verifying.Subject]:
  """The reference and the method, with their stored answers."""
  alone = dataclasses.replace(run.players.policy, value=None, guidance=None)
  plain, own = (
    rollout.store.read(store, with_text=False) for store in (reference, guided)
  )
  eta, label = float(np.unique(own.eta)[0]), _METHOD.value
  return [
    verifying.Subject("reference", alone, run.params, None, plain),
    verifying.Subject(
      f"{label}, eta {eta:g}", run.policy(label), run.params, eta, own
    ),
  ]


if __name__ == "__main__":
  console.run(main)
