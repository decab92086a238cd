"""The command line that all experiments with a model share."""

import dataclasses
from collections.abc import Callable

import ml_collections
from absl import flags

from experiments.harness import cluster, config_flag, form, questions
from qsharp_jax import tasks
from qsharp_jax.core import places
from qsharp_jax.core.errors import InputError

# --help shows these flags as the experiment's own.
flags.disclaim_key_flags()

TaskFn = Callable[[ml_collections.ConfigDict], tasks.TaskSpec]
# (config, the run's directory, task) -> the config of the stages after it.
PrepareFn = Callable[
  [ml_collections.ConfigDict, str, tasks.TaskSpec], ml_collections.ConfigDict
]


@dataclasses.dataclass(frozen=True)
class Command:
  """An experiment as a command; making one defines its flags.

  Attributes:
    config: the default configuration, NAME:VARIANT; NAME is the experiment's,
      and that of its file in experiments/configs. NAME alone where every call
      has to say --config=FILE.
    task: makes the task of a config; the default reads the config's source.
    prepare: makes what the stages of all experiments start from, if anything.
  """

  config: str
  task: TaskFn = questions.read
  prepare: PrepareFn | None = None

  def __post_init__(self):
    config_flag.define(self.config if ":" in self.config else "")
    flags.DEFINE_string(
      "workdir",
      f"runs/{self.name}",
      "Directory of the run: rollouts, models, report; local, gs:// or s3://.",
    )
    flags.DEFINE_bool(
      "dry_run",
      False,
      "Only print stages, tokens, memory and time, from a short measurement.",
    )

  @property
  def name(self) -> str:
    """Of the experiment, in its report."""
    return self.config.partition(":")[0]

  def __call__(self, argv: list[str]) -> None:
    """Runs all stages that are not done yet."""
    del argv
    config, workdir = flags.FLAGS.config, flags.FLAGS.workdir
    if config is None:
      raise InputError(
        "--config is missing; expected a file with get_config, such as "
        "--config=examples/my_task.py"
      )
    form.check(config)
    cluster.join(places.path(workdir))
    # They import jax, which --help can spare.
    from experiments.harness import dry_run, run

    task = self.task(config)
    if flags.FLAGS.dry_run:
      dry_run.dry_run(config, workdir, task=task)
      return
    if self.prepare is not None:
      config = self.prepare(config, workdir, task)
    run.run(config, workdir, experiment=self.name, task=task)
