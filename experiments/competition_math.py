r"""Q# on competition mathematics: MATH, AIME, any problems with boxed answers.

Examples:
  python -m experiments.competition_math --workdir=runs/math
  python -m experiments.competition_math --workdir=runs/mine \
    --config=competition_math:local \
    --config.reference=DIR --config.data.source=math:jsonl:DIR

The same pipeline and the same report as `experiments.gsm8k`.
"""

from absl import flags

from experiments.harness import config_flag, console
from experiments.harness import run as run_lib

_CONFIG = config_flag.define("competition_math:llama31_8b")
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
