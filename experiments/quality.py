r"""Q# on QuALITY: multiple choice about a passage of some thousand words.

Examples:
  python -m experiments.quality --workdir=runs/quality \
    --config.data.source=quality:jsonl:DIR
  python -m experiments.quality --workdir=runs/mine \
    --config=quality:local \
    --config.reference=DIR --config.data.source=quality:jsonl:DIR

The same pipeline and the same report as `experiments.gsm8k`.
"""

from experiments.harness import command, console

main = command.Command("quality:llama31_8b")

if __name__ == "__main__":
  console.run(main)
