"""report.html: one file that shows a run, without network or libraries.

What the page shows is JSON inside it, and the page's own script makes text of
it, never markup; a policy in the page forbids every other script and all
network. Files of the page are in `page_files`.
"""

import base64
import hashlib
import html
import importlib.resources
import json
import re
from collections.abc import Mapping
from typing import Any

from qsharp_jax.evaluation import columns, marks

_DIGITS = 5  # significant ones of a number: more than anybody reads
_SCRIPTS = (
  *("dom.js", "table.js", "chart.js", "results.js", "answers.js"),
  *("tokens.js", "training.js", "page.js"),
)


def render(content: Mapping[str, Any]) -> str:
  """The whole page; a part that `content` lacks is left out of it.

  Args:
    content: what JSON can hold: `title`, and any of what `of_report` makes,
      `answers`, `tokens` and `curves`.
  """
  style = _read("page.css")
  script = "\n".join(map(_read, _SCRIPTS))
  parts = {
    "title": _escaped(str(content["title"])),
    "policy": _escaped(
      "default-src 'none'; base-uri 'none'; form-action 'none'; "
      f"style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    ),
    "style": style,
    "script": script,
    "data": _embedded(content),
  }
  # One pass: what is put in is not looked at again.
  return re.sub(
    r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _read("page.html")
  )


def of_report(report: Mapping[str, Any]) -> dict[str, Any]:
  """What the page shows of report.json."""
  rows = [columns.cells(row) for row in report["rows"]]
  kept = ("front", "values", "matched", "paired", "objective_eta", "verified")
  return {
    "title": f"{report['experiment']} ({report['variant']})",
    "rows": rows,
    "groups": {"names": columns.NAMES, **columns.groups(rows)._asdict()},
    "definitions": columns.DEFINITIONS,
    "points": [row for row in report["rows"] if "kl" in row],
    "methods": _methods(report["rows"]),
    "seconds": report["seconds"],
    "versions": report["versions"],
    "failed_rewards": report.get("failed_rewards", {}),
  } | {key: report[key] for key in kept if report.get(key)}


def _methods(rows: Any) -> dict[str, dict[str, Any]]:
  """What methods are called, and how they are drawn."""
  methods = [str(row.get("method")) for row in rows]
  return {
    method: {"label": marks.name(method), "colour": colour, "marker": marker}
    for method, (colour, marker) in marks.styles(methods).items()
  } | {"reference": {"label": marks.name("reference")}}


def _embedded(content: Any) -> str:
  """JSON that no parser of HTML takes for anything else."""
  text = json.dumps(_rounded(content), allow_nan=False, separators=(",", ":"))
  for character in "<>&":
    text = text.replace(character, f"\\u{ord(character):04x}")
  return text


def _rounded(value: Any) -> Any:
  if isinstance(value, float):
    return float(f"{value:.{_DIGITS}g}")
  if isinstance(value, Mapping):
    return {str(key): _rounded(entry) for key, entry in value.items()}
  if isinstance(value, list | tuple):
    return [_rounded(entry) for entry in value]
  return value


def _escaped(text: str) -> str:
  """Text as it stands in HTML, in ASCII: half a character breaks no file."""
  return html.escape(text).encode("ascii", "xmlcharrefreplace").decode()


def _digest(text: str) -> str:
  """The name of an inline file in a content security policy."""
  digest = hashlib.sha256(text.encode()).digest()
  return f"sha256-{base64.b64encode(digest).decode()}"


def _read(name: str) -> str:
  folder = importlib.resources.files("qsharp_jax.evaluation") / "page_files"
  return (folder / name).read_text(encoding="utf-8")
