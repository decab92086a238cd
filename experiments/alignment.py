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

from experiments.harness import command, console, questions
from qsharp_jax import tasks


def prepare(
  config: ml_collections.ConfigDict, workdir: str, own: tasks.TaskSpec
) -> ml_collections.ConfigDict:
  """Trains what the variant `tiny` starts from; returns a config naming it."""
  if "chat" not in config:
    return config
  # jax, which --help can spare.
  from experiments.harness import aligning, checks

  checks.check(config)
  return aligning.prepare(config, workdir, own)


main = command.Command("alignment:tiny", questions.dialogues, prepare)

if __name__ == "__main__":
  console.run(main)
