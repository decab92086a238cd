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

import ml_collections

from experiments.harness import command, console, questions
from qsharp_jax import tasks


def task(config: ml_collections.ConfigDict) -> tasks.TaskSpec:
  """GSM8K, or the word problems of the tiny variants."""
  own, read = config.data, questions.read(config)
  if "pretrain" not in config:
    return read
  small = config.pretrain
  return tasks.gsm8k.TinyGsm8k(
    tasks.word_problems.WordProblems(
      num_steps=(small.num_steps, small.num_steps), max_value=small.max_value
    ),
    num_train=own.num_train + own.num_validation,
    num_test=own.num_test,
    num_corpus=small.num_questions,
    mistake_rate=small.mistake_rate,
    vocab_size=small.vocab_size,
    seed=config.seed,
    read=None if own.source == "words:" else read,
  )


main = command.Command("gsm8k:tiny", task)

if __name__ == "__main__":
  console.run(main)
