r"""Q# on competition mathematics: MATH, AIME, any problems with boxed answers.

Examples:
  python -m experiments.competition_math --workdir=runs/math
  python -m experiments.competition_math --workdir=runs/mine \
    --config=experiments/configs/competition_math.py:local \
    --config.reference=DIR --config.data.source=math:jsonl:DIR

The same pipeline and the same report as `experiments.gsm8k`.
"""

import os

from absl import flags
from ml_collections import config_flags

from experiments.configs import competition_math as default
from experiments.harness import console
from experiments.harness import run as run_lib

_CONFIG = config_flags.DEFINE_config_file(
  "config",
  os.path.relpath(default.__file__) + ":llama31_8b",
  "Configuration file and its variant, FILE:VARIANT; the file lists the "
  "variants. Single fields are set by --config.section.field=value.",
)
_WORKDIR = flags.DEFINE_string(
  "workdir",
  "runs/competition_math",
  "Directory of the run: rollouts, models, report.",
)


def main(argv: list[str]) -> None:
  """Runs all stages that are not done yet."""
  del argv
  run_lib.run(_CONFIG.value, _WORKDIR.value, experiment="competition_math")


if __name__ == "__main__":
  console.run(main)
