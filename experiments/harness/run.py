"""From a config to a report: what every experiment with a model does."""

import contextlib
import functools
import sys
from collections.abc import Iterator

import ml_collections

from experiments.harness import (
  beforehand,
  checks,
  compiling,
  graders,
  lengths,
  questions,
  starts,
  wiring,
)
from qsharp_jax import pipeline, tasks
from qsharp_jax.core.errors import InputError, Preempted
from qsharp_jax.sharding import processes


def run(
  config: ml_collections.ConfigDict,
  path: str,
  *,
  experiment: str,
  task: tasks.TaskSpec,
) -> None:
  """Runs all stages that are not done yet, and prints the report.

  Args:
    config: the experiment's.
    path: the run's directory.
    experiment: its name in the report.
    task: its questions, and what the reference is trained on where
      config.reference is empty.

  Raises:
    InputError: a config or an input that means nothing.
  """
  checks.check(config)
  checks.check_reference(config)
  workdir = pipeline.Workdir(path, config.to_dict())
  compiling.keep_programs(workdir.compiled)
  layout = wiring.layout(config)
  splits = questions.splits(config, task)  # before anything that takes long
  with (
    _leaving_together(),
    pipeline.hold.hold(workdir.path),
    compiling.Clock() as clock,
    layout.context(),
    graders.Graders(config, splits, layout) as started,
  ):
    beforehand.check_writable(workdir)
    grader = started.start(config.reward)
    fits = functools.partial(lengths.check_own, config, splits)
    config = starts.make(config, workdir, layout, task, fits)
    found = wiring.run(config, splits, workdir, grader, layout)
    bench = wiring.bench(config, found, started)
    wiring.check_evaluation(
      bench, wiring.evaluation(bench, task.columns), started
    )
    found = pipeline.learn(found)
    bench = wiring.bench(config, found, started)
    pipeline.evaluate.evaluate(
      found,
      wiring.evaluation(bench, task.columns),
      experiment=experiment,
      variant=config.variant,
    )
  if processes.is_main():
    print((workdir.path / "report.md").read_text())
  print(f"seconds spent compiling: {clock.seconds:.1f}", file=sys.stderr)


@contextlib.contextmanager
def _leaving_together() -> Iterator[None]:
  """Lets no process go before the others have come to the same end."""
  try:
    yield
  except (Preempted, InputError):
    with contextlib.suppress(RuntimeError):  # some did not come: go alone
      processes.leave()
    raise
