"""report.md: the same rows as report.json, for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from qsharp_jax.evaluation import columns
from qsharp_jax.evaluation.columns import Cell


def render(report: Mapping[str, Any]) -> str:
  """The report as a heading, tables, definitions, seconds and versions."""
  rows = [columns.cells(row) for row in report["rows"]]
  groups = columns.groups(rows)
  texts = [{name: _cell(cell) for name, cell in row.items()} for row in rows]
  lines = [f"# {report['experiment']} ({report['variant']})", ""]
  lines += _table([*columns.NAMES, *groups.compared], texts)
  lines += ["", _chosen(report)]
  for title, names in (("Besides", groups.besides), ("Cost", groups.cost)):
    if names:
      lines += ["", f"## {title}", ""]
      lines += _table([*columns.NAMES, *names], texts)
  lines += _matched(report.get("matched", []))
  lines += _at_equal_forwards(report.get("at_equal_forwards", []))
  lines += _paired(report.get("paired", []))
  for name, found in report.get("values", {}).items():
    lines += _calibration(name, found.get("held_out_questions", {}))
  lines += ["", "## Columns", ""]
  lines += [
    f"- **{name}**: {text}"
    for name, text in columns.DEFINITIONS.items()
    if any(name in row for row in rows)
  ]
  lines += _failed(report.get("failed_rewards", {}))
  if report.get("verified"):
    lines += ["", report["verified"]]
  for title in ("seconds", "versions"):
    pairs = [f"{key} {_text(v)}" for key, v in report[title].items()]
    lines += ["", f"{title.capitalize()}: {', '.join(pairs)}."]
  return "\n".join(lines) + "\n"


def _chosen(report: Mapping[str, Any]) -> str:
  eta = report.get("objective_eta", 0)
  best = f"objective at eta {_text(eta)}" if eta else "reward"
  return f"The eta with the best {best} on validation questions is in bold."


def _table(
  names: Sequence[str], rows: Sequence[Mapping[str, str]]
) -> list[str]:
  """Lines of a table whose columns stand in line in a terminal, too."""
  table = [list(names), *([row.get(n, "–") for n in names] for row in rows)]
  widths = [max(3, *map(len, column)) for column in zip(*table, strict=True)]
  table.insert(1, ["-" * width for width in widths])
  return [
    "| "
    + " | ".join(t.ljust(w) for t, w in zip(line, widths, strict=True))
    + " |"
    for line in table
  ]


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


def _at_equal_forwards(entries: Sequence[Mapping[str, Any]]) -> list[str]:
  """The rows beside best-of-n."""
  if not entries:
    return []
  rows = [
    {
      key.replace("_", " "): _text(value)
      for key, value in entry.items()
      if key != "ci95"
    }
    | {"difference": _with_interval(entry["difference"], entry["ci95"])}
    for entry in entries
  ]
  return [
    "",
    "## At equal forwards",
    "",
    "Best-of-n by the reward itself, from the reference's samples. The row's "
    "forwards pay for n samples of the reference, each read once by the "
    "reward; the comparison is with the best of `compared n`, which is less "
    "where there are fewer samples (both are interpolated). The difference is "
    "paired by question, with its 95% interval.",
    "",
    *_table(list(rows[0]), rows),
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


def _cell(cell: Cell) -> str:
  text = _with_interval(cell.value, cell.interval)
  return f"**{text}**" if cell.is_strong else text


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
