"""The command line that all experiments with a model share."""

import dataclasses
import os
import types
from collections.abc import Callable

import ml_collections
from absl import flags
from ml_collections import config_flags

from experiments.harness import questions
from qsharp_jax import tasks

# --help shows these flags as the experiment's own.
flags.disclaim_key_flags()

TaskFn = Callable[[ml_collections.ConfigDict], tasks.TaskSpec]


@dataclasses.dataclass(frozen=True)
class Command:
  """An experiment as a command; making one defines its flags.

  Attributes:
    configs: the module of its configurations; its last name is the
      experiment's.
    variant: the default one.
    task: makes the task of a config; the default reads the config's source.
  """

  configs: types.ModuleType
  variant: str
  task: TaskFn = questions.read

  def __post_init__(self):
    config_flags.DEFINE_config_file(
      "config",
      f"{os.path.relpath(self.configs.__file__)}:{self.variant}",
      "Configuration file and its variant, FILE:VARIANT; the file lists the "
      "variants. Single fields are set by --config.section.field=value.",
    )
    flags.DEFINE_string(
      "workdir",
      f"runs/{self.name}",
      "Directory of the run: rollouts, models, report.",
    )

  @property
  def name(self) -> str:
    """Of the experiment, in its report."""
    return self.configs.__name__.rpartition(".")[2]

  def __call__(self, argv: list[str]) -> None:
    """Runs all stages that are not done yet."""
    del argv
    from experiments.harness import run  # imports jax, which --help can spare

    config, workdir = flags.FLAGS.config, flags.FLAGS.workdir
    run.run(config, workdir, experiment=self.name, task=self.task(config))
