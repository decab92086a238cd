r"""Q# on QuALITY: multiple choice about a passage of some thousand words.

Examples:
  python -m experiments.quality --workdir=runs/quality \
    --config.data.source=quality:jsonl:DIR
  python -m experiments.quality --workdir=runs/mine \
    --config=experiments/configs/quality.py:local \
    --config.reference=DIR --config.data.source=quality:jsonl:DIR

The same pipeline and the same report as `experiments.gsm8k`.
"""

import os

from absl import flags
from ml_collections import config_flags

from experiments.configs import quality as default
from experiments.harness import console
from experiments.harness import run as run_lib

_CONFIG = config_flags.DEFINE_config_file(
  "config",
  os.path.relpath(default.__file__) + ":llama31_8b",
  "Configuration file and its variant, FILE:VARIANT; the file lists the "
  "variants. Single fields are set by --config.section.field=value.",
)
_WORKDIR = flags.DEFINE_string(
  "workdir", "runs/quality", "Directory of the run: rollouts, models, report."
)


def main(argv: list[str]) -> None:
  """Runs all stages that are not done yet."""
  del argv
  run_lib.run(_CONFIG.value, _WORKDIR.value, experiment="quality")


if __name__ == "__main__":
  console.run(main)
