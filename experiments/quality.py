r"""Q# on QuALITY: multiple choice about a passage of some thousand words.

Examples:
  python -m experiments.quality --workdir=runs/quality \
    --config.data.source=quality:jsonl:DIR
  python -m experiments.quality --workdir=runs/mine \
    --config=quality:local \
    --config.reference=DIR --config.data.source=quality:jsonl:DIR

The same pipeline and the same report as `experiments.gsm8k`.
"""

from absl import flags

from experiments.harness import config_flag, console
from experiments.harness import run as run_lib

_CONFIG = config_flag.define("quality:llama31_8b")
_WORKDIR = flags.DEFINE_string(
  "workdir", "runs/quality", "Directory of the run: rollouts, models, report."
)


def main(argv: list[str]) -> None:
  """Runs all stages that are not done yet."""
  del argv
  run_lib.run(_CONFIG.value, _WORKDIR.value, experiment="quality")


if __name__ == "__main__":
  console.run(main)
