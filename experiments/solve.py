"""From a config to a report: what every experiment with a model does."""

import pathlib
import sys
from collections.abc import Callable

import jax
import ml_collections

from experiments import checks, wiring
from qsharp_jax import data, pipeline, rewards
from qsharp_jax.core.errors import InputError

# (config, a directory for the tokenizer) -> what a small reference is trained
# on, and the tokenizer, written into that directory.
Corpus = Callable[
  [ml_collections.ConfigDict, pathlib.Path],
  tuple[list[data.Question], data.Tokenizer],
]


def run(
  config: ml_collections.ConfigDict,
  path: str,
  *,
  experiment: str,
  corpus: Corpus | None = None,
) -> None:
  """Runs all stages that are not done yet, and prints the report.

  Args:
    config: the experiment's.
    path: the run's directory.
    experiment: its name in the report.
    corpus: what the reference is trained on where config.reference is empty;
      None for experiments that need one.

  Raises:
    InputError: a config or an input that means nothing.
  """
  checks.check(config)
  settled = config.to_dict()
  # Where a run computes, and in how many processes, does not change results.
  settled.pop("mesh")
  settled.pop("reward_workers")
  workdir = pipeline.Workdir(path, settled)
  jax.config.update("jax_compilation_cache_dir", str(workdir.compiled))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
  layout = wiring.layout(config)
  with (
    pipeline.compiling.Clock() as clock,
    layout.context(),
    rewards.GradingPool(config.reward, config.reward_workers) as pool,
  ):
    if not config.reference:
      config.reference = _pretrain(config, workdir, layout, corpus)
    found = wiring.run(config, workdir, pool, layout)
    pipeline.learn(found)
    what = wiring.evaluation(config, found.players.critic)
    pipeline.evaluate.evaluate(
      found, what, experiment=experiment, variant=config.variant
    )
  print((workdir.path / "report.md").read_text())
  print(f"seconds spent compiling: {clock.seconds:.1f}", file=sys.stderr)


def _pretrain(
  config: ml_collections.ConfigDict,
  workdir: pipeline.Workdir,
  layout: pipeline.Layout,
  corpus: Corpus | None,
) -> str:
  """Trains the small reference of some variants; returns its directory."""
  if corpus is None or "pretrain" not in config:
    raise InputError(
      "config.reference is empty; expected a model directory or a hub id: set "
      "--config.reference=DIR, or use the variant tiny"
    )
  directory = workdir.path / "reference"
  with workdir.stage("pretrain") as is_due:
    if is_due:
      questions, tokenizer = corpus(config, directory / "tokenizer")
      pipeline.pretraining.pretrain(
        wiring.tiny_llama(config, tokenizer),
        questions,
        tokenizer,
        wiring.pretraining_fit(config),
        layout,
        directory,
      )
  pipeline.fitting.forget(directory)
  return str(directory / "model")
