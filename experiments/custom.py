r"""Q# on a task of your own: questions, reward, models and methods in one file.

Examples:
  python -m experiments.custom --config=examples/my_task.py --workdir=runs/mine

The file is Python, and is run: `get_config()` returns the configuration, as in
experiments/configs. A function of the file can be the reward, by
`config.reward = f"{__file__}:NAME"`; where the file has `task(config)`, that
makes the task (qsharp_jax/tasks/base.py) in place of reading
config.data.source. Stages, resuming and the report are those of the other
experiments.
"""

import ml_collections
from absl import flags

from experiments.harness import (
  command,
  config_flag,
  console,
  form,
  questions,
)
from qsharp_jax import tasks
from qsharp_jax.core import errors, python_files
from qsharp_jax.core.errors import InputError

_PARTS = ("questions", "corpus", "files", "columns")  # of a task


def task(config: ml_collections.ConfigDict) -> tasks.TaskSpec:
  """The task that the config's file makes, or the questions of its source.

  Raises:
    InputError: the file's own function fails.
  """
  file = config_flag.file()
  own = getattr(python_files.load(file), "task", None)
  if own is None:
    return questions.words(config)
  try:
    found = own(config)
  except (InputError, KeyboardInterrupt):
    raise
  except BaseException as error:  # a user's function may do anything, exit too
    raise InputError(
      f"task(config) of {file} failed ({errors.reason(error)}); mend it, or "
      "remove it and set config.data.source"
    ) from error
  lacking = [
    name for name in _PARTS if not callable(getattr(found, name, None))
  ]
  if lacking:
    raise InputError(
      f"task(config) of {file} returned {errors.short(found)} without "
      f"{', '.join(lacking)}; expected a tasks.TaskSpec"
    )
  return found


run = command.Command("custom", task)


def main(argv: list[str]) -> None:
  """Runs all stages that are not done yet, under the file's name."""
  config = flags.FLAGS.config
  if config is not None:  # whatever the variant that its settings began as
    form.check(config)
    config.variant = config_flag.file().stem
  run(argv)


if __name__ == "__main__":
  console.run(main)
