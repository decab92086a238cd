r"""The theory beside exact answers, on MDPs small enough to be solved.

  python -m experiments.tabular --workdir=DIR

Prints a table and writes report.json, report.md, learning.png,
second_order.png and cd_gap.png. A minute or two on 2 CPU cores.
"""

import json
import math
import time

from absl import flags

from experiments.harness import console, estimates
from qsharp_jax.core import errors, files, places
from qsharp_jax.evaluation import report as report_lib
from qsharp_jax.tabular import plots, studies, transfer_study

_WORKDIR = flags.DEFINE_string(
  "workdir", None, "Directory for the report and the plots.", required=True
)
_SEED = flags.DEFINE_integer(
  "seed", 0, "Of the random trees and of all learning.", lower_bound=0
)
_NUM_TREES = flags.DEFINE_integer(
  "num_trees",
  100,
  "Random trees solved with exact distributions.",
  lower_bound=1,
)
_NUM_MDPS = flags.DEFINE_integer(
  "num_mdps",
  100,
  "Random token MDPs whose optimum, front and shares are estimated.",
  lower_bound=1,
)
_NUM_TRANSFERS = flags.DEFINE_integer(
  "num_transfers",
  20,
  "Random token MDPs with two rewards, on which Transfer Q* is exact.",
  lower_bound=1,
)
_NUM_ROUNDS = flags.DEFINE_integer(
  "num_rounds", 4096, "Rounds of Algorithm 1, one rollout each.", lower_bound=16
)
_NUM_SEEDS = flags.DEFINE_integer(
  "num_seeds", 32, "Runs that learning is averaged over.", lower_bound=2
)


def measure() -> tuple[dict, dict]:
  """The report, and the curves that are drawn."""
  seconds, start = {}, time.monotonic()

  def timed(name, function, *arguments):
    nonlocal start
    result = function(*arguments)
    now = time.monotonic()
    seconds[name], start = round(now - start, 1), now
    return result

  size = _NUM_ROUNDS.value, _NUM_SEEDS.value, _SEED.value
  tree = timed("tree", studies.tree_rows)
  trees = timed(
    "random_trees", studies.random_trees, _NUM_TREES.value, _SEED.value
  )
  cd_gaps = timed("cd_gaps", studies.cd_gaps)
  estimated = timed("estimates", estimates.study, _NUM_MDPS.value, _SEED.value)
  transferred = timed(
    "transfer", transfer_study.study, _NUM_TRANSFERS.value, _SEED.value
  )
  learning = timed("learning", studies.learning, *size)
  second_order = timed("second_order", studies.second_order, *size)
  report = {
    "experiment": "tabular",
    "variant": f"seed {_SEED.value}",
    "num_rounds": _NUM_ROUNDS.value,
    "num_seeds": _NUM_SEEDS.value,
    "tree": tree,
    "random_trees": trees,
    "cd_gaps": cd_gaps,
    "estimates": estimated,
    "transfer": transferred,
    "learning": [{"case": k, **_curve(v)} for k, v in learning.items()],
    "second_order": [
      {"spread": s["spread"], "cv2": s["cv2"], "learner": k, **_curve(v)}
      for s in second_order
      for k, v in s["curves"].items()
    ],
    "seconds": seconds,
    "versions": report_lib.versions(),
  }
  return report, {
    "learning": learning,
    "second_order": second_order,
    "cd_gap": cd_gaps,
  }


def render(report: dict) -> str:
  """The report for people."""
  trees = report["random_trees"]
  seconds = ", ".join(f"{k} {v}" for k, v in report["seconds"].items())
  parts = [
    f"# tabular ({report['variant']})",
    "## The tree, exact distributions",
    _table(report["tree"]),
    "## Random trees, exact distributions",
    f"{trees['num_trees']} trees at eta {trees['eta']}: the greatest "
    f"|V*(root) - objective| of Q# is {trees['qsharp_gap_max']:.1e}; the gap "
    f"of CD is {trees['cd_gap_mean']:.4f} on average and at most "
    f"{trees['cd_gap_max']:.4f}.",
    "## Where CD fails however well it is trained",
    "V*(root) of the tree minus the objective as eta falls, exactly informed.",
    _table(report["cd_gaps"]),
    *_estimates(report["estimates"]),
    *_transfer(report["transfer"]),
    "## Learnt distributions",
    f"Algorithm 1 at eta {studies.ETA}, one rollout a round, "
    f"{report['num_rounds']} rounds, mean of {report['num_seeds']} runs. "
    "`last`: sub-optimality of the last sixteenth of the rounds, on average; "
    "`sum_1/16`, `sum_1/4`, `sum`: cumulative sub-optimality of the first "
    "sixteenth, quarter and all of the rounds, with its standard error; "
    "`growth`: the exponent of that sum over the last two doublings, 0 where "
    "it stands still, 1/2 where it grows as a square root.",
    _table(report["learning"]),
    "## Second order",
    "Five arms whose Q* and V* are the same in every row; only the variance "
    "of the reward-to-go differs. `cv2`: the greatest squared coefficient of "
    "variation of exp(Z*/eta). The theory bounds the sum from above by the "
    "root of variance times rounds, plus a log of the rounds; without variance "
    "the log alone is left. The root is a bound, not a forecast: a sum "
    "flattens out once the rounds outnumber cv2 many times.",
    _table(report["second_order"]),
    f"Seconds: {seconds}.",
  ]
  return "\n\n".join(parts) + "\n"


def main(_) -> None:
  """Measures, prints, writes."""
  workdir = places.path(_WORKDIR.value)
  with errors.foreign(
    f"--workdir {workdir} cannot be written", "name a directory"
  ):
    files.replace(workdir / ".writable", "")
    (workdir / ".writable").unlink()
  report, curves = measure()
  text = render(report)
  print(text, end="")
  plots.learning(curves["learning"], workdir / "learning.png")
  plots.second_order(curves["second_order"], workdir / "second_order.png")
  plots.cd_gaps(curves["cd_gap"], workdir / "cd_gap.png")
  files.replace(workdir / "report.md", text)
  files.replace(workdir / "report.json", json.dumps(report, indent=2) + "\n")
  print(f"-> {workdir}")


def _estimates(found: dict) -> list[str]:
  """Estimates from samples beside dynamic programming."""
  shares = found["exact_shares"]

  def of(name):
    return f"{shares[name]['least']:.3f} to {shares[name]['greatest']:.3f}"

  return [
    "## Estimates from samples",
    f"{found['num']} random token MDPs whose first choice, drawn uniformly, is "
    "the question, with a reward of its own: a normal number for each token at "
    f"each place. {found['num_questions']} questions are drawn, "
    f"{found['num_samples']} answers of the reference and of each policy for "
    f"each; eta {found['eta']:g}. Exact values are those of the whole MDP, by "
    "dynamic programming, and intervals those of a report: a bootstrap over "
    "the questions drawn. `exact`, `estimate`, `width` of the interval: means "
    "over the MDPs; `bias`: estimate minus the exact value of the same "
    "questions; `inside`: MDPs whose interval holds the exact value. "
    "`optimum, plug-in` is without the jackknife.",
    _table(found["rows"]),
    f"Share of the possible gain with exact values, without samples: Q# "
    f"{of('qsharp')}, CD {of('cd')}.",
  ]


def _transfer(found: dict) -> list[str]:
  """Transfer Q* with exact values, from baselines of several strengths."""
  without = found["without"]
  return [
    "## Transfer Q*, exact values",
    f"{found['num']} random token MDPs with two rewards of correlation "
    f"{found['agreement']:g}; mean of V*(root) - objective at eta "
    f"{found['eta']:g}. A baseline is the reference aligned at KL weight beta: "
    "to the reward that counts (`direct`) or to the other one (`direct_wrong`, "
    "`indirect`). What is tilted is the baseline, or the reference "
    "(`_on_reference`). Without a baseline: "
    f"Q# {without['qsharp']:.1e}, CD {without['cd']:.4f}, the reference "
    f"{without['reference']:.4f}.",
    _table(found["rows"]),
  ]


def _curve(gaps) -> dict:
  """What of a curve [seeds, rounds] goes into the report."""
  num = gaps.shape[1]
  sums = {n: studies.cumulative(gaps, n) for n in (num // 16, num // 4, num)}
  quarter, whole = sums[num // 4][0], sums[num][0]
  return {
    "last": float(gaps[:, -(num // 16) :].mean()),
    "sum_1/16": sums[num // 16][0],
    "sum_1/4": quarter,
    "sum": whole,
    "sum_error": sums[num][1],
    "growth": math.log(whole / quarter, 4) if quarter > 0 else 0.0,
  }


def _table(rows: list[dict]) -> str:
  """Rows of the same keys as a Markdown table with aligned columns."""
  cells = [list(rows[0]), *([_text(v) for v in row.values()] for row in rows)]
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  lines = [
    "| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in cells
  ]
  rule = "| " + " | ".join("-" * width for width in widths) + " |"
  return "\n".join([lines[0], rule, *lines[1:]])


def _text(value: str | float) -> str:
  if isinstance(value, str):
    return value
  if abs(value) < 1e-12:
    return "0"  # rounding noise
  if abs(value) < 1e-4:
    return f"{value:.1e}"
  return f"{value:.5f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
  console.run(main)
