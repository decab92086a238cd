r"""Q# on competition mathematics: MATH, AIME, any problems with boxed answers.

Examples:
  python -m experiments.competition_math --workdir=runs/math
  python -m experiments.competition_math --workdir=runs/mine \
    --config=experiments/configs/competition_math.py:local \
    --config.reference=DIR --config.data.source=math:jsonl:DIR

The same pipeline and the same report as `experiments.gsm8k`.
"""

from experiments.configs import competition_math as configs
from experiments.harness import command, console

main = command.Command(configs, "llama31_8b")

if __name__ == "__main__":
  console.run(main)
