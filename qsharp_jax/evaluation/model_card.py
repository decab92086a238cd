"""The card of a shared model: what it is, what it was trained on, how good."""

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

_COLUMNS = ("reward", "kl", "objective", "optimum", "share")
_VALUES_USE = """\
A value model of Q# (arXiv 2502.20548): after every token it gives the
distribution of the reward that the reference will earn from there. It guides
`{reference}`, and no other model, at any KL weight eta:

```python
import qsharp_jax

guide = qsharp_jax.load("{reference}", values="THIS_DIRECTORY")
print(guide.generate("{question}", eta={eta})[0].text)
```
"""
_POLICY_USE = """\
`{reference}`, fine-tuned by {method} with KL weight {eta}. It loads in
transformers like any causal language model.
"""


def card(
  method: str | None,
  facts: Mapping[str, Any],
  rows: Sequence[Mapping[str, Any]],
  *,
  question: str,
) -> str:
  """A README.md with the metadata that hubs read.

  Args:
    method: the fine-tuning method; None: a value model.
    facts: what it was trained on, by name; `reference` is one of them.
    rows: of report.json: the reference's and the model's own.
    question: an example of what may be asked.
  """
  best = max(
    (row for row in rows if row["eta"] is not None),
    key=operator.itemgetter("reward"),
    default={"eta": 0.1},
  )
  use = _VALUES_USE if method is None else _POLICY_USE
  title = "Q# value model" if method is None else f"Policy by {method}"
  is_on_hub = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", facts["reference"])
  head = [
    "---",
    "library_name: qsharp-jax" if method is None else None,
    f"base_model: {facts['reference']}" if is_on_hub else None,
    "tags: [qsharp, value-model]" if method is None else f"tags: [{method}]",
    "---",
  ]
  said = use.format(
    reference=facts["reference"],
    method=method,
    eta=best["eta"],
    question=question.replace("\n", " ").replace('"', "'"),
  )
  return "\n".join(
    [
      *(line for line in head if line),
      f"# {title} for {facts['reference']}",
      "",
      said,
      "## Trained on",
      "",
      *(f"- {name}: {value}" for name, value in facts.items()),
      "",
      "## Measured",
      "",
      *_table(rows),
      "",
      "Means over test questions; intervals are 95%, by bootstrap over "
      "questions. Objective: reward - eta x KL; optimum: the most that any "
      "policy reaches at this eta, from the reference's own samples; share: "
      "the part of the possible gain that is made.",
      "",
    ]
  )


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  """Rows of report.json with the columns that a reader compares."""
  names = ("method", "eta", *_COLUMNS)
  return [
    "| " + " | ".join(names) + " |",
    "|---" * len(names) + "|",
    *(
      "| " + " | ".join(_cell(row, name) for name in names) + " |"
      for row in rows
    ),
  ]


def _cell(row: Mapping[str, Any], name: str) -> str:
  """A number with its interval, where it has one."""
  value, interval = row.get(name), row.get(f"{name}_ci95")
  if value is None:
    return "–"
  if isinstance(value, str) or name == "eta":
    return str(value)
  if interval is None:
    return f"{value:.3f}"
  return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"
