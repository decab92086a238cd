"""report.md: the same rows as report.json, for people."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

_DEFINITIONS = (
  ("eta", "KL weight in reward units; small is strong guidance."),
  ("round", "round of training that gave the value model."),
  ("n", "questions x samples of each."),
  (
    "pass@1",
    "share of right samples, with its 95% bootstrap interval over questions.",
  ),
  (
    "maj1@8",
    "is the most frequent answer of 8 samples right: mean over disjoint groups "
    "of 8, empty answers ignored, ties counted fractionally.",
  ),
  ("pass@8", "unbiased chance that 8 samples hold a right one."),
  (
    "kl / floor",
    "KL(policy || reference) in nats over the full vocabulary before top-p, "
    "summed over the response, mean over samples; beside it the least KL that "
    "any policy of this pass@1 can have, the binary relative entropy "
    "d(pass@1 || pass@1 of the reference row). The floor is an estimate from "
    "both rows, and refers to what the reference row sampled: with top-p below "
    "1 that is the filtered reference.",
  ),
  (
    "kl filtered",
    "the same KL of the policy after top-p, which is above 0 even without "
    "guidance.",
  ),
  ("length", "mean tokens of a response."),
  ("truncated", "share of responses that never ended."),
  (
    "tokens/s",
    "response tokens over the seconds spent sampling them, compilation "
    "included.",
  ),
  (
    "forwards",
    "passes of any model over one row, over its prompt or over one new token "
    "with its candidates: mean over responses, all that a search threw away "
    "included.",
  ),
  ("seconds", "spent sampling the row."),
  ("failed_rewards", "samples without an honest reward; they count as wrong."),
)


def render(report: Mapping[str, Any]) -> str:
  """The report as a heading, a table, definitions, seconds and versions."""
  rows = [_cells(row) for row in report["rows"]]
  columns = list(dict.fromkeys(name for row in rows for name in row))
  table = [columns, ["---"] * len(columns)]
  table += [[row.get(name, "–") for name in columns] for row in rows]
  lines = [f"# {report['experiment']} ({report['variant']})", ""]
  lines += ["| " + " | ".join(cells) + " |" for cells in table]
  lines += ["", "The eta chosen on validation is in bold.", ""]
  lines += [f"- **{name}**: {text}" for name, text in _DEFINITIONS]
  lines += _matched(report.get("matched", []))
  for name, found in report.get("values", {}).items():
    lines += _calibration(name, found.get("held_out_questions", {}))
  for title in ("seconds", "versions"):
    pairs = [f"{key} {_text(v)}" for key, v in report[title].items()]
    lines += ["", f"{title.capitalize()}: {', '.join(pairs)}."]
  return "\n".join(lines) + "\n"


def _matched(entries: Sequence[Mapping[str, Any]]) -> list[str]:
  """The methods at one KL."""
  if not entries:
    return []
  lines = [
    "",
    "## At the KL of the chosen Q# row",
    "",
    "Interpolated between a method's own rows where they reach that KL (*); "
    "else the method's chosen row. Forwards as above.",
    "",
    "| method | kl | pass@1 | forwards |",
    "| --- | --- | --- | --- |",
  ]
  for entry in entries:
    star = "*" * entry["is_interpolated"]
    cells = [_text(entry[key]) for key in ("kl", "pass@1", "forwards")]
    lines.append(f"| {_text(entry['method'])}{star} | {' | '.join(cells)} |")
  return lines


def _calibration(name: str, found: Mapping[str, Any]) -> list[str]:
  """A value model on held-out questions, token by token."""
  if not found.get("by_position"):
    return []
  numbers = ("loss", "explained_variance", "roc_auc", "calibration_error")
  lines = [
    "",
    f"## Values of {name} on held-out questions",
    "",
    ", ".join(f"{key.replace('_', ' ')} {_text(found[key])}" for key in numbers)
    + "; by response token:",
    "",
    "| tokens | count | predicted | observed | roc auc | calibration error |",
    "| --- | --- | --- | --- | --- | --- |",
  ]
  keys = (
    "count",
    "mean_probability",
    "mean_label",
    "roc_auc",
    "calibration_error",
  )
  for entry in found["by_position"]:
    place = f"{entry['low']:.0f}–{entry['high'] - 1:.0f}"
    cells = [_text(entry[key]) for key in keys]
    lines.append(f"| {place} | {' | '.join(cells)} |")
  return lines


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
  """Column -> text, several keys of the row sharing a column."""
  row = dict(row)
  take = lambda key: row.pop(key, None)
  eta, selected = take("eta"), take("selected")
  low, high = take("pass@1_ci95") or (None, None)
  cells = {
    "method": _text(take("method")),
    "eta": f"**{_text(eta)}**" if selected else _text(eta),
    "round": _text(take("round")),
    "n": f"{_text(take('num_questions'))} x {_text(take('num_samples'))}",
    "pass@1": f"{_text(take('pass@1'))} [{_text(low)}, {_text(high)}]",
    "maj1@8": _text(take("maj1@8")),
    "pass@8": _text(take("pass@8")),
    "kl / floor": f"{_text(take('kl'))} / {_text(take('kl_floor'))}",
    "kl filtered": _text(take("kl_filtered")),
    "length": _text(take("mean_length")),
    "truncated": _text(take("truncated_share")),
    "tokens/s": _text(take("tokens_per_second")),
  }
  return cells | {_text(key): _text(value) for key, value in row.items()}


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
