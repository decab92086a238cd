r"""Q# on grade-school mathematics, from a model directory to a report.

Examples:
  python -m experiments.gsm8k --workdir=runs/tiny
  python -m experiments.gsm8k --workdir=runs/mine \
    --config=gsm8k:local --config.reference=DIR \
    --config.data.source=jsonl:DIR

Rolls out the reference, trains a value model on the rewards, guides the
reference by it, and writes report.html, report.md and report.json into the
workdir. The same command again goes on where the last one stopped.
"""

from experiments.harness import command, console, questions

main = command.Command("gsm8k:tiny", questions.words)

if __name__ == "__main__":
  console.run(main)
