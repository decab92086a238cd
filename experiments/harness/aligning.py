"""What the tiny alignment run trains first: reward models and a baseline."""

import dataclasses
import functools
import json

import ml_collections

from experiments.harness import (
  casting,
  lengths,
  prompting,
  questions,
  starts,
  wiring,
)
from qsharp_jax import data, pipeline, sharding, training
from qsharp_jax.core import files, places
from qsharp_jax.pipeline import pretraining
from qsharp_jax.reward_models import bradley_terry
from qsharp_jax.sharding import processes
from qsharp_jax.tasks import chat

TARGET, OTHER = "helpful", "harmless"


def prepare(
  config: ml_collections.ConfigDict, path: str, task: chat.Chat
) -> ml_collections.ConfigDict:
  """Trains what is not there yet; returns the config that names it.

  The reference learns the corpus; the two reward models learn preferences by
  the planted rewards, starting from it; the other baseline learns the answers
  of a policy that is aligned to the second reward.

  Args:
    config: with the section `chat`.
    path: the run's directory.
    task: makes dialogues and preferences.
  """
  workdir = pipeline.Workdir(path, config.to_dict())
  layout = wiring.layout(config)
  splits = questions.splits(config, task)
  fits = functools.partial(lengths.check_own, config, splits)
  with pipeline.hold.hold(workdir.path), layout.context():
    found = starts.make(config, workdir, layout, task, fits)
    models = {
      name: _reward_model(config, workdir, layout, task, found.reference, name)
      for name in (TARGET, OTHER)
    }
    baseline = _baseline(config, workdir, layout, task, found.reference)
  return _named(config, workdir, models, baseline)


def _reward_model(
  config: ml_collections.ConfigDict,
  workdir: pipeline.Workdir,
  layout: sharding.Layout,
  task: chat.Chat,
  reference: str,
  name: str,
) -> places.Path:
  """A reward model of planted preferences, by Bradley and Terry."""
  own = config.chat
  how = training.Fit(**own.reward_model.to_dict(), seed=config.seed)
  directory = workdir.path / "rewards" / name
  preferences = list(
    task.preferences(own.num_preferences, reward=name, sharpness=own.sharpness)
  )
  stage = pipeline.stage.Stage(
    f"reward_model_{name}",
    settings=pipeline.training_bindings.settings_of(dataclasses.asdict(how))
    | {
      "preferences": pipeline.contents.digest(
        [dataclasses.astuple(x) for x in preferences]
      ),
      "weights of the reference": workdir.weights(reference),
    },
    outputs=(directory,),
    is_whole=(directory / "model" / "config.json").exists,
  )
  with workdir.stages([stage]) as due:
    if due:
      rows = bradley_terry.pack(
        preferences, data.tokenizer.load(reference), length=how.max_length
      )
      model, params = bradley_terry.train(
        reference, rows, how, layout, directory, dtype=config.dtype
      )
      bradley_terry.save(directory / "model", model, params, reference)
      if name == TARGET and processes.is_main():
        _write(directory.parent / "preferences.jsonl", preferences)
  training.fit.forget(directory)
  return directory / "model"


def _baseline(
  config: ml_collections.ConfigDict,
  workdir: pipeline.Workdir,
  layout: sharding.Layout,
  task: chat.Chat,
  reference: str,
) -> places.Path:
  """A policy aligned to the second reward, by the answers of such a one."""
  own, directory = config.chat, workdir.path / "other_baseline"
  how = wiring.pretraining_fit(config)
  stage = pipeline.stage.Stage(
    "other_baseline",
    settings=pipeline.training_bindings.settings_of(
      {"chat": own.to_dict(), "fit": dataclasses.asdict(how)}
    )
    | {"weights of the reference": workdir.weights(reference)},
    outputs=(directory,),
    is_whole=(directory / "model" / "config.json").exists,
  )
  with workdir.stages([stage]) as due:
    if due:
      tokenizer = data.tokenizer.load(reference)
      pretraining.pretrain(
        casting.own_reference(config, tokenizer),
        task.answered(own.num_dialogues, reward=OTHER, eta=own.baseline_eta),
        tokenizer,
        how,
        layout,
        directory,
        family=config.pretrain.family,
        form=prompting.form(config),
      )
  training.fit.forget(directory)
  return directory / "model"


def _write(
  path: places.Path, preferences: list[data.preferences.Preference]
) -> None:
  """Preferences as TRL's files have them, for DPO.

  What ends an answer here is the stop string: without it the policy would learn
  nothing of where to end, and go on.
  """
  rows = [
    {
      "prompt": x.question,
      "chosen": x.chosen + chat.STOP,
      "rejected": x.rejected + chat.STOP,
    }
    for x in preferences
  ]
  files.replace(path, "".join(json.dumps(row) + "\n" for row in rows))


def _named(
  config: ml_collections.ConfigDict,
  workdir: pipeline.Workdir,
  models: dict[str, places.Path],
  baseline: places.Path,
) -> ml_collections.ConfigDict:
  """The config with rewards in planted units, and the baseline."""
  scale = 1 / config.chat.sharpness
  named = {
    name: f"{scale:.6f}*model:{directory}" for name, directory in models.items()
  }
  config = ml_collections.ConfigDict(config.to_dict())
  config.reward = config.search.judge = named[TARGET]
  config.alignment.judge = config.search.front.reward = named[OTHER]
  source = workdir.path / "rewards" / "preferences.jsonl"
  config.preferences.update(source=f"jsonl:{source}", scale=scale)
  config.search.transfer.update(
    baseline="dpo",
    other_baseline=str(baseline),
    reward=named[TARGET],
    baseline_reward=named[OTHER],
  )
  return config
