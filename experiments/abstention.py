r"""Answer, or decline for a sure reward: where the mean misleads.

Examples:
  python -m experiments.abstention --workdir=runs/abstention
  python -m experiments.abstention --workdir=runs/words \
    --config=abstention:words
  python -m experiments.abstention --workdir=runs/mine \
    --config=abstention:local --config.reference=DIR --config.value.start=DIR \
    --config.data.source=jsonl:DIR --config.abstention.phrase="I do not know"

Rolls out the reference, trains a value model on the rewards, guides the
reference by it, and writes report.html, report.md and report.json into the
workdir. For star graphs, where all is known, it also prints what exact values
would do beside what was measured, and writes it as theory.md. The same command
again goes on where the last one stopped.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import ml_collections
from absl import flags

from experiments.harness import command, console, questions
from qsharp_jax.core import files, places
from qsharp_jax.tasks import abstention
from qsharp_jax.tasks import abstention_theory as theory_lib

_FAR = 0.03  # from theory: a row whose reward is further off is marked


def task(config: ml_collections.ConfigDict) -> abstention.Abstention:
  """The questions of a config, and what declining them pays."""
  own = config.abstention
  if "graphs" in config:
    signs = tuple(sign for sign in (own.phrase, own.commit) if sign)
    inner = questions.stars(config, signs=signs)
  else:
    inner = questions.words(config)
  return abstention.Abstention(
    inner,
    abstention.Terms(own.phrase, own.pays, own.commit),
    rate=own.rate,
    invitation=own.invitation,
    seed=config.seed,
  )


run = command.Command("abstention:stars", task)


def main(argv: list[str]) -> None:
  """Runs all stages that are not done yet; then theory, where there is one."""
  run(argv)
  from qsharp_jax.sharding import processes  # jax, which --help can spare

  config = flags.FLAGS.config
  is_over = flags.FLAGS.dry_run or not processes.is_main()
  if "graphs" not in config or is_over:
    return
  workdir = places.path(flags.FLAGS.workdir)
  report = json.loads((workdir / "report.json").read_text())
  text = "\n".join(_beside_theory(config, report["rows"])) + "\n"
  files.replace(workdir / "theory.md", text)
  print(text)


def _beside_theory(
  config: ml_collections.ConfigDict, rows: list[Mapping[str, Any]]
) -> Iterator[str]:
  """Lines of a table: what rows measured, and what exact values would do."""
  own, right = config.abstention, 1 - config.graphs.mistake_rate
  yield (
    "Measured, and in brackets what exact values give where the reference "
    f"declines {own.rate:.0%} and is right in {right:.0%} of its attempts. "
    "`solved` is the share of the attempts that are right; ! marks a reward "
    f"further than {_FAR} from theory."
  )
  yield ""
  names = theory_lib.Theory._fields
  yield f"| method | eta | {' | '.join(names)} | |"
  yield "|---|---|" + "---|" * (len(names) + 1)
  blamed = []
  for row in rows:
    if row["method"] in ("qsharp", "cd"):
      exact = theory_lib.theory(
        row["method"],
        eta=row["eta"],
        pays=own.pays,
        declining=own.rate,
        right=right,
      )
      found = theory_lib.to_blame(row, exact, pays=own.pays, far=_FAR)
      yield _line(row, exact, "!" * bool(found))
      blamed += [f"- {_name(row, ' at ')}: the values {text}" for text in found]
    elif row["method"] == "reference":
      yield _line(row, theory_lib.unguided(own.pays, own.rate, right), "")
  if blamed:
    yield from ("", "Which values are to blame:", "", *blamed)


def _line(row: Mapping[str, Any], exact: theory_lib.Theory, mark: str) -> str:
  """A row of the table."""
  measured = {**row, "solved": theory_lib.solved(row)}
  cells = " | ".join(
    f"{_number(measured.get(name))} ({_number(value)})"
    for name, value in exact._asdict().items()
  )
  return f"| {_name(row, ' | ')} | {cells} | {mark} |"


def _name(row: Mapping[str, Any], between: str) -> str:
  eta = "–" if row["eta"] is None else f"{row['eta']:g}"
  return f"{row['method']}{between}{eta}"


def _number(value: float | None) -> str:
  return "–" if value is None else f"{value:.3f}"


if __name__ == "__main__":
  console.run(main)
