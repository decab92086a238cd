"""The models that a run starts from, where it has to make them itself."""

import contextlib
import pathlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import jax
import ml_collections

from experiments.harness import casting, prompting, wiring
from qsharp_jax import data, models, pipeline, sharding, tasks, training
from qsharp_jax.checkpoint import huggingface, saving
from qsharp_jax.core import digests, places, progress, seeds
from qsharp_jax.sharding import placement, processes

# Fields of `data` that decide prompts made of turns alone.
_OF_TURNS = ("instruction", "system", "template_kwargs")


def make(
  config: ml_collections.ConfigDict,
  workdir: pipeline.Workdir,
  layout: sharding.Layout,
  task: tasks.TaskSpec,
  check: Callable[[data.Tokenizer], None],
) -> ml_collections.ConfigDict:
  """Makes what is missing; returns the config that names it (`resolved`).

  Args:
    config: the experiment's.
    workdir: for the models.
    layout: trains them.
    task: makes what a reference of our own is trained on.
    check: refuses what does not fit, once the tokenizer is there.
  """
  paths = pipeline.RunPaths(workdir.path)
  named = resolved(config, paths)
  if not config.reference:
    _pretrain(config, workdir, layout, task, paths.reference, check)
  if config.value.num_new_layers:
    start = config.value.start or named.reference
    _deeper(config, workdir, layout, start, paths.value_start)
  return named


def resolved(
  config: ml_collections.ConfigDict, paths: pipeline.RunPaths
) -> ml_collections.ConfigDict:
  """A copy of the config that names the models in the run's directory, too."""
  config = ml_collections.ConfigDict(config.to_dict())
  config.reference = config.reference or str(paths.reference_model)
  if config.value.num_new_layers:
    config.value.start = str(paths.value_start)
  return config


def _pretrain(
  config: ml_collections.ConfigDict,
  workdir: pipeline.Workdir,
  layout: sharding.Layout,
  task: tasks.TaskSpec,
  directory: places.Path,
  check: Callable[[data.Tokenizer], None],
) -> None:
  """Trains the small reference of some variants."""
  stage = pipeline.stage.Stage(
    "pretrain", given=_pretrained_from(config, task), outputs=(directory,)
  )
  with (
    workdir.stages([stage]) as due,
    forgotten_if_diverged(directory),
    contextlib.ExitStack() as stack,
  ):
    if due:
      found, tokenizer = task.corpus(stack.enter_context(_own(directory)))
      check(tokenizer)
      pipeline.pretraining.pretrain(
        casting.own_reference(config, tokenizer),
        found,
        tokenizer,
        wiring.pretraining_fit(config),
        layout,
        directory,
        family=config.pretrain.family,
        form=prompting.form(config),
      )
  training.fit.forget(directory)


@contextlib.contextmanager
def forgotten_if_diverged(directory: places.Path) -> Iterator[None]:
  """Leaves nothing of a reference that diverged: a lower rate is then free."""
  try:
    yield
  except training.Diverged:
    if processes.is_main():
      with contextlib.suppress(OSError):
        places.remove(directory)
    raise


def _pretrained_from(
  config: ml_collections.ConfigDict, task: tasks.TaskSpec
) -> dict[str, Any]:
  """What the small reference depends on."""
  names = ("pretrain", "graphs", "abstention", "data", "seed", "dtype")
  own = {k: v for k, v in config.to_dict().items() if k in names}
  if not prompting.form(config).has_turns:
    own["data"] = {k: v for k, v in own["data"].items() if k not in _OF_TURNS}
  found = pipeline.training_bindings.settings_of(own)
  if files := task.files():
    found["data.path"] = pipeline.contents.digest(
      {file.name: digests.of_file(file) for file in files}
    )
  return found


@contextlib.contextmanager
def _own(directory: places.Path) -> Iterator[pathlib.Path]:
  """Where this process writes a tokenizer, of which one copy is kept."""
  if processes.is_main():
    with places.written(directory / "tokenizer") as own:
      yield own
  else:
    with tempfile.TemporaryDirectory() as elsewhere:
      yield pathlib.Path(elsewhere)


def _deeper(
  config: ml_collections.ConfigDict,
  workdir: pipeline.Workdir,
  layout: sharding.Layout,
  start: str,
  directory: places.Path,
) -> None:
  """Puts new layers on the value model's start."""
  names = ("num_new_layers", "head", "q_head", "reads_log_probs")
  made_from = {f"value.{name}": config.value[name] for name in names} | {
    "value.loss": casting.loss_of(config),
    "value.num_atoms": casting.num_atoms_of(config),
    "seed": config.seed,
    "the weights of value.start": workdir.weights(start),
  }
  stage = pipeline.stage.Stage(
    "value_start", settings=made_from, outputs=(directory,)
  )
  with workdir.stages([stage]) as due:
    if due:
      with progress.bar(None, "value_start", total=2, unit="step") as bar:
        _grow(config, layout, start, directory, bar)


def _grow(
  config: ml_collections.ConfigDict,
  layout: sharding.Layout,
  start: str,
  directory: places.Path,
  bar: Any,
) -> None:
  """Reads, puts random layers on top, writes."""
  critic, family = casting.critic(config, start)
  decoder = critic.model.config.deeper(config.value.num_new_layers)
  model = casting.critic_of(config, decoder).model
  old = models.ValueModel(critic.model.config, model.head)
  _, _, params = huggingface.load_value_model(
    start,
    head=old.head,
    q_head=config.value.q_head,
    shardings=layout.for_training(old),
  )
  bar.update()
  key = jax.random.key(seeds.stable_seed("value_start", config.seed))
  drawn = placement.init(model, key, layout.for_training(model))
  saving.save_value_model(
    directory,
    decoder,
    old.head,
    models.grow(params, drawn),
    family,
    huggingface.token_ids(start),
  )
  huggingface.copy_tokenizer(start, directory)
  bar.update()
