r"""Q# and its rivals on star graphs, where the first step needs foresight.

Examples:
  python -m experiments.star_graph --workdir=runs/star_graph
  python -m experiments.star_graph --workdir=runs/g2_5 \
    --config=star_graph:g2_5
  python -m experiments.star_graph --check_data=graphs.txt

Trains a reference on graphs and their paths, a value model on the reference's
own attempts, guides the one by the other, and writes report.html, report.md and
report.json into the workdir. The same command again goes on where the last one
stopped. With --check_data it only reads a file of graphs, one a line as
`a,b|c,d|…/start,goal=n1,n2,…`, and says how many are stars with right answers.
"""

import sys

from absl import flags

from experiments.harness import command, console, questions
from qsharp_jax.core.errors import InputError
from qsharp_jax.tasks import star_graph_text

_CHECK_DATA = flags.DEFINE_string(
  "check_data", None, "Only reads this file of graphs and checks every line."
)
_MOST_REPORTED = 10


run = command.Command("star_graph:tiny", questions.stars)


def main(argv: list[str]) -> int:
  """Runs all stages that are not done yet, or checks a file."""
  if _CHECK_DATA.value is not None:
    return check_data(_CHECK_DATA.value)
  run(argv)
  return 0


def check_data(path: str) -> int:
  """Says how many lines of a file are stars; 0 when all are, and right."""
  lines = star_graph_text.lines(path)
  num_stars = num_right = 0
  complaints = []
  for place, line in lines:
    try:
      graph = star_graph_text.parse(line)
      star_graph_text.solve(graph)
      num_stars += 1
      star_graph_text.check(graph)
      num_right += 1
    except InputError as error:
      complaints.append(f"{place}: {error}")
  for complaint in complaints[:_MOST_REPORTED]:
    print(complaint, file=sys.stderr)
  if len(complaints) > _MOST_REPORTED:
    print(f"and {len(complaints) - _MOST_REPORTED} more", file=sys.stderr)
  print(
    f"{len(lines)} lines, {num_stars} valid stars, {num_right} answers right"
  )
  return int(bool(complaints) or not lines)


if __name__ == "__main__":
  console.run(main)
