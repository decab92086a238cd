"""The report of one evaluation, written to a workdir."""

import importlib.metadata
import json
import math
import os
import platform
from collections.abc import Mapping
from typing import Any

import numpy as np

from qsharp_jax.core import files, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import markdown, page
from qsharp_jax.evaluation.summary import Row

_PACKAGES = (
  "jax",
  "flax",
  "optax",
  "numpy",
  "transformers",
  "math-verify",
  "qsharp_jax",
)


def versions() -> dict[str, str | None]:
  """Version of Python and of each package that moves a number, or None."""
  found: dict[str, str | None] = {"python": platform.python_version()}
  for package in _PACKAGES:
    try:
      found[package] = importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
      found[package] = None
  return found


def write(
  report: Mapping[str, Any],
  workdir: str | os.PathLike,
  shown: Mapping[str, Any] | None = None,
) -> None:
  """Writes report.json, report.md and report.html, each whole or not at all.

  Args:
    report: "experiment", "variant", "rows" (of Row, or mappings in its form,
      further keys allowed), "seconds" per stage, "versions"; further keys are
      kept. Numbers that are not finite become null.
    workdir: folder, made if missing.
    shown: what only the page shows, such as answers; see `page.render`.

  Raises:
    InputError: a key of the five is missing.
  """
  needed = ("experiment", "variant", "rows", "seconds", "versions")
  if missing := [key for key in needed if key not in report]:
    raise InputError(
      f"report: got no {', '.join(missing)}, expected {', '.join(needed)}; "
      "fill them in"
    )
  content = plain(report)
  folder = places.path(workdir)
  text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
  files.replace(folder / "report.json", f"{text}\n")
  files.replace(folder / "report.md", markdown.render(content))
  more = plain(shown or {})
  files.replace(
    folder / "report.html", page.render(page.of_report(content) | more)
  )


def plain(value: Any) -> Any:
  """The same value in what JSON can hold; not finite becomes None."""
  if isinstance(value, Row):
    value = value.to_dict()
  if isinstance(value, Mapping):
    return {str(key): plain(entry) for key, entry in value.items()}
  if isinstance(value, np.ndarray | np.generic):
    value = value.tolist()
  if isinstance(value, list | tuple):
    return [plain(entry) for entry in value]
  if isinstance(value, float) and not math.isfinite(value):
    return None
  return value
