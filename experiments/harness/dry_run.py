"""What a run would do, how large it is and how long it takes, without a run.

Stages and their sizes are the pipeline's. Their seconds come from a short
measurement in a folder that is thrown away: two batches of answers and a few
steps of training, by the models of the run. A reference that the run itself
would train is there as it begins, and so are the values.
"""

import dataclasses
import functools
import math
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import jax
import ml_collections

from experiments.harness import (
  checks,
  compiling,
  graders,
  lengths,
  measuring,
  memory_checks,
  prompting,
  questions,
  starts,
  wiring,
)
from qsharp_jax import data, models, pipeline, rollout, tasks, training
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import memory
from qsharp_jax.pipeline import labelled, support
from qsharp_jax.pipeline import methods as methods_lib

_GB = 1e9
_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))


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


def dry_run(
  config: ml_collections.ConfigDict, path: str, *, task: tasks.TaskSpec
) -> None:
  """Prints what is to do; nothing is written into the run's directory.

  Args:
    config: the experiment's.
    path: the run's directory, whose finished stages cost nothing more.
    task: as for `run.run`.

  Raises:
    InputError: what a run would refuse before its first sample, or a run that
      nobody can measure before its first stages are done.
  """
  checks.check(config)
  checks.check_reference(config)
  _check_measurable(config)
  workdir = pipeline.Workdir(path, config.to_dict())
  layout = wiring.layout(config)
  splits = questions.splits(config, task)
  with (
    tempfile.TemporaryDirectory() as folder,
    compiling.Clock() as clock,
    layout.context(),
    graders.Graders(config, splits, layout) as started,
  ):
    scratch = pipeline.Workdir(f"{folder}/run", config.to_dict())
    own = _Short(config, task)
    grader = started.start(config.reward)
    fits = functools.partial(lengths.check_own, config, splits)
    named = starts.make(config, scratch, layout, own, fits)
    run = _begun(wiring.run(named, splits, scratch, grader, layout))
    bench = wiring.bench(named, run, started)
    what = wiring.evaluation(bench, task.columns)
    real = dataclasses.replace(run, workdir=workdir)
    wiring.check_evaluation(dataclasses.replace(bench, run=real), what, started)
    found = [*_starts(config, run, own), *_stages(run, what)]
  print("\n".join(_table(found, workdir.seconds())))
  print("\n".join(_assumed(config, run, found, clock.seconds)))


def _check_measurable(config: ml_collections.ConfigDict) -> None:
  if "chat" in config:
    raise InputError(
      f"--dry_run cannot measure the variant {config.variant!r}, which trains "
      "the reward models that its stages load; expected one whose reward "
      "models are there, such as alignment:local"
    )
  if jax.process_count() > 1:
    raise InputError(
      f"--dry_run got {jax.process_count()} processes; expected one: "
      "python -m launch.aot says what fits on many devices, and how fast"
    )


class _Short:
  """A task whose corpus is cut to a batch; keeps the rows of all of it."""

  def __init__(self, config: ml_collections.ConfigDict, task: tasks.TaskSpec):
    self._config, self._task, self.files = config, task, task.files
    self.rows: data.Packed | None = None

  def corpus(self, directory) -> tuple[list[data.Question], data.Tokenizer]:
    found, tokenizer = self._task.corpus(directory)
    form, own = prompting.form(self._config), self._config.pretrain
    self.rows = pipeline.pretraining.rows(
      found, tokenizer, form, length=own.max_length
    )
    return found[: own.batch_size], tokenizer


def _begun(run: pipeline.Run) -> pipeline.Run:
  """The run with values as they start in the place of the last round's."""
  players = run.players
  critic = players.critic
  if critic.loss == "categorical" and critic.atoms is None:
    run = support.with_support(run, 0.0, 1.0)
  config = players.policy.value.config
  _, _, values = huggingface.load_value_model(
    players.start,
    head=critic.model.head,
    q_head=players.q_head,
    dtype=config.dtype,
    param_dtype=config.dtype,
    shardings=run.layout.for_decoding(critic.model),
  )
  run.held[run.rounds.num_rounds] = values
  return run


def _starts(
  config: ml_collections.ConfigDict, run: pipeline.Run, task: _Short
) -> Iterator[Stage]:
  """The models that the run makes itself."""
  if task.rows is not None:
    model = run.players.policy.reference
    how = wiring.pretraining_fit(config)
    _, params = huggingface.load_language_model(
      run.players.reference, shardings=run.layout.for_training(model)
    )
    objective = training.objectives.language_model(model)
    seconds = measuring.step(
      objective, params, task.rows, how, run, "reference"
    )
    yield _trained(
      "pretrain", [model], how, len(task.rows.tokens), run, seconds
    )
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


def _stages(run: pipeline.Run, what: pipeline.Evaluation) -> Iterator[Stage]:
  """Rounds and evaluation."""
  rounds, last = run.rounds, run.rounds.num_rounds
  alone = measuring.answers(
    run, "reference", run.sampler(None), rollout.Plan(rounds.num_samples, 0)
  )
  yield from _rounds(run, alone)
  tested: dict[str, measuring.Answers] = {"reference": alone}
  num_judged = 0
  for split, job in pipeline.evaluate.jobs(run, what):
    method, num_samples, _ = pipeline.evaluate.method_of(run, what, job)
    kind = "guided" if method.has_rounds else job.method
    if kind not in tested and method.prepare is methods_lib.nothing:
      plan = rollout.Plan(num_samples, 0, method.etas[0])
      tested[kind] = measuring.answers(run, kind, method.sampler(last), plan)
    number = len(getattr(run.task, split)) * num_samples * len(job.etas)
    num_judged += number * (split == "test")
    yield _sampled(
      f"{split}: {job.method}"
      + f", round {job.round_index}" * method.has_rounds,
      run,
      method,
      num_samples,
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
  rows = rows._replace(labels=rows.labels * 0)  # not all may have one
  step = measuring.step(
    objective,
    pipeline.algorithm1.placed(run, None),
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
      rounds.num_samples,
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
  num_samples: int,
  number: int,
  found: measuring.Answers | None,
  marks: tuple[str, ...] = (),
) -> Stage:
  """A stage of sampling, by the seconds of an answer."""
  needed = memory_checks.sampled(
    run, method, num_samples, run.sampling.batch_size
  )
  seconds = None if found is None else number * found.seconds
  length = run.sampling.max_new_tokens if found is None else found.tokens
  work = f"{number} answers"
  return Stage(name, work, number * length, needed.total, seconds, marks)


def _table(found: list[Stage], done: dict[str, float]) -> Iterator[str]:
  """Lines of the stages, and of the time that is left."""
  left = 0.0
  yield f"{'stage':<28}{'work':>16}{'tokens':>12}{'GB':>8}{'time':>10}"
  for stage in found:
    marks = stage.marks or (stage.name,)
    time = "unknown" if stage.seconds is None else _time(stage.seconds)
    if all(mark in done for mark in marks):
      time = "done"
    else:
      left += stage.seconds or 0.0
    size = f"{stage.num_bytes / _GB:.3g}"
    yield (
      f"{stage.name:<28}{stage.work:>16}{stage.tokens:>12.3g}{size:>8}{time:>10}"
    )
  unknown = [stage.name for stage in found if stage.seconds is None]
  without = f", without {', '.join(unknown)} and their training" * bool(unknown)
  yield f"in all {_time(left)}{without}"


def _assumed(
  config: ml_collections.ConfigDict,
  run: pipeline.Run,
  found: list[Stage],
  compiling_s: float,
) -> Iterator[str]:
  """What the numbers rest on."""
  own = run.sampling.max_new_tokens
  device = jax.devices()[0].device_kind
  yield (
    f"Measured on {jax.device_count()} x {device}. Answers are taken to be as "
    f"long as the few that were sampled, of at most {own} tokens; their time "
    "goes with their length."
  )
  if not config.reference:
    yield (
      "The reference is not trained yet: a random one hardly ends an answer "
      "before that limit."
    )
  yield (
    "Training is counted with all answers; those to questions whose answers "
    "all get one reward are left out of it."
  )
  yield (
    f"Compiling is not counted; it took {_time(compiling_s)} here. GB is the "
    "most that a device holds, by prediction."
  )


def _time(seconds: float) -> str:
  """Seconds in the largest unit of which there is one."""
  for name, size in _UNITS:
    if seconds >= size:
      return f"{seconds / size:.3g} {name}"
  return f"{seconds:.2g} s"
