"""report.md: the same rows as report.json, for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

# Column -> how it is made, for those of the first table.
_DEFINITIONS = {
  "eta": "KL weight in reward units; small is strong guidance.",
  "round": "round of training that gave the value model.",
  "reward": "mean reward, with its 95% bootstrap interval over questions.",
  "pass@1": (
    "share of right samples, with its 95% bootstrap interval over questions."
  ),
  "kl": (
    "KL(policy || reference) in nats over the full vocabulary before top-p, "
    "summed over the response, mean over samples."
  ),
  "objective": "reward - eta x kl: what KL-regularised RL maximises.",
  "optimum": (
    "the greatest objective that any policy has at this eta, eta ln E[exp("
    "reward / eta)] of each question under the reference, from its own "
    "samples (their number is in report.json), the jackknife taking most of "
    "the bias away; with its 95% interval. With top-p below 1 the samples "
    "are those of the filtered reference, while kl refers to the unfiltered "
    "one."
  ),
  "share": (
    "(objective - reward of the reference) / (optimum - reward of the "
    "reference): how much of the possible gain is made; 1 for exact values."
  ),
  "n": "questions x samples of each.",
  "maj1@8": (
    "is the most frequent answer of 8 samples right: mean over disjoint groups "
    "of 8, empty answers ignored, ties counted fractionally."
  ),
  "pass@8": "unbiased chance that 8 samples hold a right one.",
  "kl filtered": (
    "the same KL of the policy after top-p, which is above 0 even without "
    "guidance."
  ),
  "length": "mean tokens of a response.",
  "truncated": "share of responses that never ended.",
  "tokens/s": (
    "response tokens over the seconds spent sampling them, compilation "
    "included."
  ),
  "forwards": (
    "passes of any model over one row, over its prompt or over one new token "
    "with its candidates: mean over responses, all that a search threw away "
    "included."
  ),
  "seconds": "spent sampling the row.",
  "failed_rewards": (
    "samples without an honest reward; they count as wrong, and as the least "
    "reward."
  ),
}
_COMPARED = ("reward", "pass@1", "kl", "objective", "optimum", "share")


def render(report: Mapping[str, Any]) -> str:
  """The report as a heading, tables, definitions, seconds and versions."""
  rows = [_cells(row) for row in report["rows"]]
  columns = list(dict.fromkeys(name for row in rows for name in row))
  is_compared = lambda name: name in _names() or name in _COMPARED
  first = [name for name in columns if is_compared(name)]
  rest = [name for name in columns if not is_compared(name)]
  lines = [f"# {report['experiment']} ({report['variant']})", ""]
  lines += _table(first, rows)
  lines += ["", _chosen(report)]
  if rest:
    lines += ["", "## Besides", "", *_table([*_names(), *rest], rows)]
  lines += _matched(report.get("matched", []))
  lines += _paired(report.get("paired", []))
  for name, found in report.get("values", {}).items():
    lines += _calibration(name, found.get("held_out_questions", {}))
  lines += ["", "## Columns", ""]
  lines += [
    f"- **{name}**: {text}"
    for name, text in _DEFINITIONS.items()
    if name in columns
  ]
  lines += _failed(report.get("failed_rewards", {}))
  for title in ("seconds", "versions"):
    pairs = [f"{key} {_text(v)}" for key, v in report[title].items()]
    lines += ["", f"{title.capitalize()}: {', '.join(pairs)}."]
  return "\n".join(lines) + "\n"


def _names() -> tuple[str, ...]:
  """Columns that say which row it is."""
  return ("method", "eta", "round")


def _chosen(report: Mapping[str, Any]) -> str:
  eta = report.get("objective_eta", 0)
  best = f"objective at eta {_text(eta)}" if eta else "reward"
  return f"The eta with the best {best} on validation questions is in bold."


def _table(
  columns: Sequence[str], rows: Sequence[Mapping[str, str]]
) -> list[str]:
  table = [columns, ["---"] * len(columns)]
  table += [[row.get(name, "–") for name in columns] for row in rows]
  return ["| " + " | ".join(cells) + " |" for cells in table]


def _failed(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
  """How many samples could not be graded, training's among them."""
  if not counts:
    return []
  parts = [
    f"{split} {own['failed']} of {own['samples']}"
    for split, own in counts.items()
  ]
  return ["", f"Failed rewards: {', '.join(parts)}."]


def _matched(entries: Sequence[Mapping[str, Any]]) -> list[str]:
  """The methods at one KL."""
  if not entries:
    return []
  keys = ("kl", "reward", "forwards")
  rows = [
    {"method": _text(entry["method"]) + "*" * entry["is_interpolated"]}
    | {key: _text(entry[key]) for key in keys}
    for entry in entries
  ]
  return [
    "",
    "## At the KL of the chosen Q# row",
    "",
    "Interpolated between a method's own rows where they reach that KL (*); "
    "else the method's chosen row.",
    "",
    *_table(["method", *keys], rows),
  ]


def _paired(entries: Sequence[Mapping[str, Any]]) -> list[str]:
  """Q# against the others, question by question."""
  if not entries:
    return []
  rows = [
    {
      "method": _text(entry["method"]),
      "eta": _text(entry["eta"]),
      "difference": _with_interval(entry["difference"], entry["ci95"]),
    }
    for entry in entries
  ]
  return [
    "",
    "## Objective of Q# less that of others",
    "",
    "At the same eta, paired by question, with the 95% bootstrap interval of "
    "the mean difference.",
    "",
    *_table(["method", "eta", "difference"], rows),
  ]


def _calibration(name: str, found: Mapping[str, Any]) -> list[str]:
  """A value model on held-out questions, token by token."""
  if not found.get("by_position"):
    return []
  numbers = [
    key
    for key in (
      *("loss", "log_likelihood", "crps", "pit_error"),
      *("explained_variance", "roc_auc", "calibration_error"),
    )
    if found.get(key) is not None
  ]
  entries = found["by_position"]
  keys = [
    key
    for key, cell in entries[0].items()
    if key not in ("low", "high") and not isinstance(cell, list)
  ]
  rows = [
    {"tokens": f"{entry['low']:.0f}–{entry['high'] - 1:.0f}"}
    | {_spaced(key): _text(entry[key]) for key in keys}
    for entry in entries
  ]
  said = ", ".join(f"{_spaced(key)} {_text(found[key])}" for key in numbers)
  return [
    "",
    f"## Values of {name} on held-out questions",
    "",
    f"{said}; by response token:",
    "",
    *_table(["tokens", *map(_spaced, keys)], rows),
  ]


def _spaced(key: str) -> str:
  names = {"mean_prediction": "predicted", "mean_label": "observed"}
  return names.get(key, key.replace("_", " "))


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
  """Column -> text, several keys of the row sharing a column."""
  row = dict(row)
  take = lambda key: row.pop(key, None)
  eta, selected = take("eta"), take("selected")
  take("num_reference_samples")
  cells = {
    "method": _text(take("method")),
    "eta": f"**{_text(eta)}**" if selected else _text(eta),
    "round": _text(take("round")),
    "reward": _with_interval(take("reward"), take("reward_ci95")),
  }
  if "pass@1" in row:
    cells["pass@1"] = _with_interval(take("pass@1"), take("pass@1_ci95"))
  cells |= {
    "kl": _text(take("kl")),
    "objective": _text(take("objective")),
    "optimum": _with_interval(take("optimum"), take("optimum_ci95")),
    "share": _text(take("share")),
    "n": f"{_text(take('num_questions'))} x {_text(take('num_samples'))}",
  }
  renamed = {
    "kl_filtered": "kl filtered",
    "mean_length": "length",
    "truncated_share": "truncated",
    "tokens_per_second": "tokens/s",
  }
  return cells | {
    renamed.get(key, _text(key)): _text(value) for key, value in row.items()
  }


def _with_interval(number: Any, interval: Any) -> str:
  low, high = interval or (None, None)
  if low is None:
    return _text(number)
  return f"{_text(number)} [{_text(low)}, {_text(high)}]"


def _text(value: Any) -> str:
  if value is None:
    return "–"
  if isinstance(value, float):
    if abs(value) < 1e-6:
      return "0"  # rounding noise, such as the KL of equal distributions
    return f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"
  if not isinstance(value, str):
    value = json.dumps(value, ensure_ascii=False)
  return value.replace("|", "\\|").replace("\n", " ")
