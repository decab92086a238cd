"""From a config to a report: what every experiment with a model does."""

import contextlib
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

import jax
import ml_collections

from experiments.harness import checks, cluster, compiling, questions, wiring
from qsharp_jax import (
  data,
  models,
  pipeline,
  rewards,
  sharding,
  tasks,
  training,
)
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import digests, seeds
from qsharp_jax.core.errors import InputError, Preempted
from qsharp_jax.sharding import placement, processes


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
  cluster.join(pathlib.Path(path).expanduser())
  checks.check(config)
  _check_reference(config)
  workdir = pipeline.Workdir(path, config.to_dict())
  jax.config.update("jax_compilation_cache_dir", str(workdir.compiled))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
  layout = wiring.layout(config)
  splits = questions.splits(config, task)  # before anything that takes long
  with (
    _leaving_together(),
    compiling.Clock() as clock,
    layout.context(),
    rewards.GradingPool(config.reward, config.reward_workers) as pool,
    contextlib.ExitStack() as stack,
  ):
    if not config.reference:
      config.reference = _pretrain(config, workdir, layout, task)
    if config.value.num_new_layers:
      config.value.start = _deeper(config, workdir, layout)
    found = wiring.run(config, splits, workdir, pool, layout)
    pipeline.learn(found)
    start = lambda name: stack.enter_context(
      rewards.GradingPool(name, config.reward_workers)
    )
    what = wiring.evaluation(
      config, found, lambda name: start(name).grade, task.columns
    )
    pipeline.evaluate.evaluate(
      found, what, experiment=experiment, variant=config.variant
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


def _check_reference(config: ml_collections.ConfigDict) -> None:
  """Makes sure that there is a reference, or a way to train one."""
  if not config.reference and "pretrain" not in config:
    raise InputError(
      "config.reference is empty; expected a model directory or a hub id: set "
      "--config.reference=DIR, or use the variant tiny"
    )


def _pretrain(
  config: ml_collections.ConfigDict,
  workdir: pipeline.Workdir,
  layout: sharding.Layout,
  task: tasks.TaskSpec,
) -> str:
  """Trains the small reference of some variants; returns its directory."""
  directory = workdir.path / "reference"
  stage = pipeline.workdir.Stage(
    "pretrain", given=_pretrained_from(config), outputs=(directory,)
  )
  with workdir.stages([stage]) as due, contextlib.ExitStack() as stack:
    if due:
      found, tokenizer = task.corpus(stack.enter_context(_own(directory)))
      pipeline.pretraining.pretrain(
        wiring.own_reference(config, tokenizer),
        found,
        tokenizer,
        wiring.pretraining_fit(config),
        layout,
        directory,
        family=config.pretrain.family,
        style=config.data.prompt,
      )
  training.fit.forget(directory)
  return str(directory / "model")


def _pretrained_from(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """What the small reference depends on."""
  names = ("pretrain", "graphs", "data", "seed", "dtype")
  found = pipeline.bindings.settings_of(
    {name: value for name, value in config.to_dict().items() if name in names}
  )
  path = pathlib.Path(config.data.get("path", ""))
  if config.data.get("path") and path.exists():
    own = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    found["data.path"] = pipeline.contents.digest(
      {file.name: digests.of_file(file) for file in own}
    )
  return found


@contextlib.contextmanager
def _own(directory: pathlib.Path) -> Iterator[pathlib.Path]:
  """Where this process writes a tokenizer, of which one copy is kept."""
  if processes.is_main():
    yield directory / "tokenizer"
  else:
    with tempfile.TemporaryDirectory() as elsewhere:
      yield pathlib.Path(elsewhere)


def _deeper(
  config: ml_collections.ConfigDict,
  workdir: pipeline.Workdir,
  layout: sharding.Layout,
) -> str:
  """Puts new layers on the value model's start; returns its directory."""
  directory = workdir.path / "value_start"
  start = config.value.start or config.reference
  names = ("num_new_layers", "head", "q_head", "num_atoms", "loss")
  made_from = {f"value.{name}": config.value[name] for name in names} | {
    "seed": config.seed,
    "the weights of value.start": workdir.weights(start),
  }
  stage = pipeline.workdir.Stage(
    "value_start", settings=made_from, outputs=(directory,)
  )
  with workdir.stages([stage]) as due:
    if due:
      critic, family = wiring.critic(config, start)
      old = critic.model
      _, _, params = huggingface.load_value_model(
        start,
        head=old.head,
        q_head=config.value.q_head,
        shardings=layout.for_training(old),
      )
      decoder = old.config.deeper(config.value.num_new_layers)
      model = models.ValueModel(decoder, old.head)
      key = jax.random.key(seeds.stable_seed("value_start", config.seed))
      drawn = placement.init(model, key, layout.for_training(model))
      huggingface.save_value_model(
        directory,
        decoder,
        old.head,
        models.grow(params, drawn),
        family,
        huggingface.token_ids(start),
      )
      if processes.is_main():
        tokenizer = data.tokenizer.load(start)
        tokenizer.hf.save_pretrained(directory)
        huggingface.seal(directory)
  return str(directory)
