"""What a run would do, how large it is and how long it takes, without a run.

Stages and their sizes are the pipeline's. Their seconds come from a short
measurement in a folder that is thrown away: two batches of answers and a few
steps of training, by the models of the run. A reference that the run itself
would train is there as it begins, and so are the values.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Iterator

import jax
import ml_collections

from experiments.harness import (
  checks,
  compiling,
  graders,
  lengths,
  prompting,
  questions,
  stages,
  starts,
  wiring,
)
from qsharp_jax import data, pipeline, tasks
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import support

_GB = 1e9
_UNITS = (("h", 3600.0), ("min", 60.0), ("s", 1.0))


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
  config = ml_collections.ConfigDict(config.to_dict())
  config.reward_max_failed_share = 1.0  # of a reference that has learnt nothing
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
    found = [
      *stages.of_starts(config, run, own.rows),
      *stages.of_run(run, what),
    ]
  print("\n".join(_table(found, workdir.seconds())))
  print("\n".join(_assumed(config, run, clock.seconds)))


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


def _table(found: list[stages.Stage], done: dict[str, float]) -> Iterator[str]:
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
  config: ml_collections.ConfigDict, run: pipeline.Run, compiling_s: float
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
