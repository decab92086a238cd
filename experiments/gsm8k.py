r"""Q# on grade-school mathematics, from a model directory to a report.

Examples:
  python -m experiments.gsm8k --workdir=runs/tiny
  python -m experiments.gsm8k --workdir=runs/mine \
    --config=gsm8k:local --config.reference=DIR \
    --config.data.source=jsonl:DIR

Rolls out the reference, trains a value model on the rewards, guides the
reference by it, and writes report.json, report.md and pareto.png into the
workdir. The same command again goes on where the last one stopped.
"""

import pathlib

import ml_collections
from absl import flags

from experiments.harness import config_flag, console, questions
from experiments.harness import run as run_lib
from qsharp_jax import data

_CONFIG = config_flag.define("gsm8k:tiny")
_WORKDIR = flags.DEFINE_string(
  "workdir", "runs/gsm8k", "Directory of the run: rollouts, models, report."
)


def main(argv: list[str]) -> None:
  """Runs all stages that are not done yet."""
  del argv
  run_lib.run(_CONFIG.value, _WORKDIR.value, experiment="gsm8k", corpus=corpus)


def corpus(
  config: ml_collections.ConfigDict, directory: pathlib.Path
) -> tuple[list[data.Question], data.Tokenizer]:
  """Word problems with a mistake now and then, and a tokenizer of them."""
  own = config.pretrain
  tests = {q.question for q in questions.splits(config)["test"]}
  problems = questions.words(config).generate(
    own.num_questions,
    seed=config.seed + 2,
    exclude=tests,
    mistake_rate=own.mistake_rate,
  )
  return problems, data.tokenizer.train_byte_level_bpe(
    [f"Question: {q.question}\nAnswer:\n{q.answer}" for q in problems],
    vocab_size=own.vocab_size,
    directory=directory,
  )


if __name__ == "__main__":
  console.run(main)
