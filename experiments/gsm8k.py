r"""Q# on grade-school mathematics, from a model directory to a report.

Examples:
  python -m experiments.gsm8k --workdir=runs/tiny
  python -m experiments.gsm8k --workdir=runs/mine \
    --config=experiments/configs/gsm8k.py:local --config.reference=DIR \
    --config.data.source=jsonl:DIR

Rolls out the reference, trains a value model on the rewards, guides the
reference by it, and writes report.json, report.md and pareto.png into the
workdir. The same command again goes on where the last one stopped.
"""

import os
import sys

import jax
from absl import flags
from ml_collections import config_flags

from experiments import checks, console, wiring
from experiments.configs import gsm8k as default
from qsharp_jax import data, pipeline, rewards
from qsharp_jax.core.errors import InputError

_CONFIG = config_flags.DEFINE_config_file(
  "config",
  os.path.relpath(default.__file__) + ":tiny",
  "Configuration file and its variant, FILE:VARIANT; the file lists the "
  "variants. Single fields are set by --config.section.field=value.",
)
_WORKDIR = flags.DEFINE_string(
  "workdir", "runs/gsm8k", "Directory of the run: rollouts, models, report."
)


def main(argv: list[str]) -> None:
  """Runs all stages that are not done yet."""
  del argv
  config = _CONFIG.value
  checks.check(config)
  settled = config.to_dict()
  # Where a run computes, and in how many processes, does not change results.
  settled.pop("mesh")
  settled.pop("reward_workers")
  workdir = pipeline.Workdir(_WORKDIR.value, settled)
  jax.config.update("jax_compilation_cache_dir", str(workdir.compiled))
  jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
  layout = wiring.layout(config)
  with (
    pipeline.compiling.Clock() as clock,
    layout.context(),
    rewards.GradingPool(config.reward, config.reward_workers) as pool,
  ):
    if not config.reference:
      config.reference = pretrain(config, workdir, layout)
    run = wiring.run(config, workdir, pool, layout)
    pipeline.learn(run)
    what = wiring.evaluation(config, run.players.critic)
    pipeline.evaluate.evaluate(
      run, what, experiment="gsm8k", variant=config.variant
    )
  print((workdir.path / "report.md").read_text())
  print(f"seconds spent compiling: {clock.seconds:.1f}", file=sys.stderr)


def pretrain(config, workdir: pipeline.Workdir, layout: pipeline.Layout) -> str:
  """Trains the small reference of the tiny variants; returns its directory."""
  if "pretrain" not in config:
    raise InputError(
      "config.reference is empty; expected a model directory or a hub id: set "
      "--config.reference=DIR, or use the variant tiny"
    )
  own = config.pretrain
  directory = workdir.path / "reference"
  with workdir.stage("pretrain") as is_due:
    if is_due:
      tests = {q.question for q in wiring.questions(config)["test"]}
      corpus = wiring.words(config).generate(
        own.num_questions,
        seed=config.seed + 2,
        exclude=tests,
        mistake_rate=own.mistake_rate,
      )
      tokenizer = data.tokenizer.train_byte_level_bpe(
        [f"Question: {q.question}\nAnswer:\n{q.answer}" for q in corpus],
        vocab_size=own.vocab_size,
        directory=directory / "tokenizer",
      )
      pipeline.pretraining.pretrain(
        wiring.tiny_llama(config, tokenizer),
        corpus,
        tokenizer,
        wiring.pretraining_fit(config),
        layout,
        directory,
      )
  pipeline.fitting.forget(directory)
  return str(directory / "model")


if __name__ == "__main__":
  console.run(main)
