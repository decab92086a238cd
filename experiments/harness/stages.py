"""The stages of a run with their sizes, and seconds by short measurements."""

import dataclasses
import math
from collections.abc import Iterator
from typing import NamedTuple

import ml_collections
import numpy as np

from experiments.harness import measuring, memory_checks, wiring
from qsharp_jax import data, models, pipeline, rollout, training
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.generate import memory
from qsharp_jax.pipeline import labelled
from qsharp_jax.pipeline import methods as methods_lib


class Stage(NamedTuple):
  """One line of what a dry run prints.

  Attributes:
    name: of the stage.
    work: what there is to do.
    tokens: written by sampling, read by training.
    num_bytes: of each device, most of them at one time.
    seconds: None where nobody knows before the run.
    marks: its marks in a run's directory, if not the name alone.
  """

  name: str
  work: str
  tokens: float
  num_bytes: int
  seconds: float | None
  marks: tuple[str, ...] = ()


def of_starts(
  config: ml_collections.ConfigDict,
  run: pipeline.Run,
  rows: data.Packed | None,
) -> Iterator[Stage]:
  """The models that the run makes itself.

  Args:
    config: the experiment's.
    run: its value model, if it starts deeper, was made here.
    rows: of the corpus of a reference of its own.
  """
  if rows is not None:
    model = run.players.policy.reference
    how = wiring.pretraining_fit(config)
    _, params = huggingface.load_language_model(
      run.players.reference, shardings=run.layout.for_training(model)
    )
    objective = training.objectives.language_model(model)
    seconds = measuring.step(objective, params, rows, how, run, "reference")
    yield _trained("pretrain", [model], how, len(rows.tokens), run, seconds)
  if config.value.num_new_layers:
    size = memory.parameter_bytes(run.players.policy.value, run.layout.mesh)
    seconds = run.workdir.seconds()["value_start"]
    yield Stage("value_start", "1 model", 0, size, seconds)


def _trained(
  name: str, trained, how: training.Fit, num_rows: float, run, seconds: float
) -> Stage:
  """A stage of training on packed rows, by the seconds of a step."""
  steps = how.num_epochs * math.ceil(num_rows / how.batch_size)
  beside = 0
  if not isinstance(trained[0], models.LanguageModel):
    mesh = run.layout.mesh
    beside = memory.parameter_bytes(run.players.policy.reference, mesh)
  needed = memory_checks.trained(
    trained, how, run.layout.mesh, beside, how.num_microbatches
  )
  tokens = steps * how.batch_size * how.max_length
  return Stage(name, f"{steps} steps", tokens, needed.total, steps * seconds)


def of_run(run: pipeline.Run, what: pipeline.Evaluation) -> Iterator[Stage]:
  """Rounds and evaluation, the run's last values being there to guide."""
  rounds, last = run.rounds, run.rounds.num_rounds
  alone = measuring.answers(
    run, "reference", run.sampler(None), rollout.Plan(rounds.num_samples, 0)
  )
  yield from _rounds(run, alone)
  tested: dict[str, measuring.Answers] = {"reference": alone}
  num_judged = 0
  for split, job in pipeline.jobs.listed(run, what):
    method, plan = pipeline.jobs.plan_of(run, what, job, split)
    kind = "guided" if method.has_rounds else job.method
    kind += f"-kl{plan.kl_every}" * (plan.kl_every != 1)
    if kind not in tested and method.prepare is methods_lib.nothing:
      plan = dataclasses.replace(plan, eta=method.etas[0])
      tested[kind] = measuring.answers(run, kind, method.sampler(last), plan)
    number = len(getattr(run.task, split)) * plan.num_samples * len(job.etas)
    num_judged += number * (split == "test")
    yield _sampled(
      f"{split}: {job.method}"
      + f", round {job.round_index}" * method.has_rounds,
      run,
      method,
      plan,
      number,
      tested.get(kind),
      tuple(job.stage(split, eta) for eta in job.etas),
    )
  seconds = measuring.judgement(run, alone.found)
  size = memory.parameter_bytes(run.players.policy.value, run.layout.mesh)
  tokens = num_judged * run.fit.max_length
  work = f"{num_judged} answers"
  yield Stage("judge", work, tokens, size, num_judged * seconds)


def _rounds(run: pipeline.Run, alone: measuring.Answers) -> Iterator[Stage]:
  """Collecting and training, round by round."""
  rounds, task, players = run.rounds, run.task, run.players
  objective = training.objectives.value(
    players.critic.model, loss=players.critic.loss, atoms=players.critic.atoms
  )
  rows = labelled.pack(alone.found, length=run.fit.max_length)
  # Not all may have a reward.
  rows = rows._replace(labels=np.zeros_like(rows.labels))
  step = measuring.step(
    objective,
    pipeline.values.placed(run, None),
    rows,
    run.fit,
    run,
    "values",
  )
  methods = {1: pipeline.methods.reference(run)}
  found = {1: alone}
  if rounds.num_rounds > 1:
    guidance = players.policy.guidance
    methods[2] = pipeline.methods.guided(run, guidance, (rounds.eta,))
    horizon = max(1, round(alone.tokens))
    found[2] = measuring.answers(
      run,
      "roll-in",
      run.sampler(run.values(rounds.num_rounds)),
      rollout.Plan(rounds.num_samples, 0, rounds.eta, rounds.rule, horizon),
    )
  number = rounds.num_samples * (len(task.train) + len(task.validation))
  num_trained = rounds.num_samples * len(task.train)
  for i in range(1, rounds.num_rounds + 1):
    kind = min(i, 2)
    yield _sampled(
      f"collect_{i}",
      run,
      methods[kind],
      rollout.Plan(rounds.num_samples, 0),
      number,
      found[kind],
    )
    num_rows = i * num_trained * len(rows.tokens) / len(alone.found)
    value = players.policy.value
    yield _trained(f"train_{i}", [value], run.fit, num_rows, run, step)


def _sampled(
  name: str,
  run: pipeline.Run,
  method: pipeline.Method,
  plan: rollout.Plan,
  number: int,
  found: measuring.Answers | None,
  marks: tuple[str, ...] = (),
) -> Stage:
  """A stage of sampling, by the seconds of an answer."""
  needed = memory_checks.sampled(
    run, method, plan.num_samples, run.sampling.batch_size, plan.kl_every
  )
  seconds = None if found is None else number * found.seconds
  length = run.sampling.max_new_tokens if found is None else found.tokens
  work = f"{number} answers"
  return Stage(name, work, number * length, needed.total, seconds, marks)
