r"""Guided and fine-tuned alignment by reward models, in one report.

Examples:
  python -m experiments.alignment --workdir=runs/alignment
  python -m experiments.alignment --workdir=runs/mine \
    --config=alignment:local --config.reference=DIR --config.value.start=DIR \
    --config.data.source=jsonl:DIR --config.reward=model:DIR \
    --config.alignment.judge=model:DIR --config.preferences.source=jsonl:FILE

Rolls out the reference, scores its answers by a reward model, trains values on
the scores, and compares guidance by them (Q#, CD) with Transfer Q*, ARGS, DPO
as a Q-function, searches and fine-tuned policies: reward, a judge's wins over
the reference, diversity, coherence, KL and cost, in report.md. The variant
`tiny` first trains a reference, two reward models and an aligned baseline. The
same command again goes on where the last one stopped.
"""

import ml_collections
from absl import flags

from experiments.harness import cluster, command, console, questions
from qsharp_jax import tasks
from qsharp_jax.core import places


def task(config: ml_collections.ConfigDict) -> tasks.TaskSpec:
  """The questions of a config: read, or about animals."""
  if "chat" not in config:
    return questions.read(config)
  own = config.data
  return tasks.chat.Chat(
    num_train=own.num_train + own.num_validation,
    num_test=own.num_test,
    num_corpus=config.chat.num_dialogues,
    vocab_size=config.pretrain.vocab_size,
    seed=config.seed,
  )


_COMMAND = command.Command("alignment:tiny", task)


def main(argv: list[str]) -> None:
  """Runs all stages that are not done yet."""
  del argv
  config, workdir = flags.FLAGS.config, flags.FLAGS.workdir
  cluster.join(places.path(workdir))
  # jax, which --help can spare.
  from experiments.harness import aligning, checks, run

  own = task(config)
  if "chat" in config:
    checks.check(config)
    config = aligning.prepare(config, workdir, own)
  run.run(config, workdir, experiment=_COMMAND.name, task=own)


if __name__ == "__main__":
  console.run(main)
