r"""Q# on competition mathematics: MATH, AIME, any problems with boxed answers.

Examples:
  python -m experiments.competition_math --workdir=runs/math
  python -m experiments.competition_math --workdir=runs/mine \
    --config=competition_math:local \
    --config.reference=DIR --config.data.source=math:jsonl:DIR

The same pipeline and the same report as `experiments.gsm8k`.
"""

from experiments.harness import command, console

main = command.Command("competition_math:llama31_8b")

if __name__ == "__main__":
  console.run(main)
