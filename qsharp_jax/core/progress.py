"""Progress: a live bar in a terminal, a line now and then in a log file."""

import sys
from collections.abc import Iterable
from typing import Any, TextIO

import tqdm

_LOG_SECONDS = 20.0  # between two lines where nobody watches
_SHORT_SECONDS = 5.0  # that nothing is said of
_LOG_FORMAT = (
  "{desc}: {n_fmt} of {total_fmt}, {elapsed}<{remaining}, {rate_fmt}{postfix}"
)


def bar(
  items: Iterable | None,
  name: str,
  *,
  total: int,
  done: int = 0,
  unit: str,
  is_short: bool = False,
) -> Any:
  """A tqdm bar over `items`, or one to be updated by hand.

  Args:
    items: to iterate over, or None.
    name: what is going on.
    total: how much there is in all.
    done: how much an earlier attempt did.
    unit: of what.
    is_short: it is often over at once, and only shown once it has taken some
      seconds.
  """
  # Otherwise a thread of tqdm's own repeats what was shown, with old counts.
  settings: dict[str, Any] = {"mininterval": 0.2, "miniters": 1}
  settings["delay"] = _SHORT_SECONDS if is_short else 0
  if not sys.stderr.isatty():
    settings |= {
      "mininterval": _LOG_SECONDS,
      "bar_format": _LOG_FORMAT,
      "file": _Lines(sys.stderr),
    }
  return tqdm.tqdm(items, name, total, initial=done, unit=unit, **settings)


class _Lines:
  """A file that keeps each state of a bar as a line of its own."""

  def __init__(self, file: TextIO):
    self._file = file
    self._count = ""

  def write(self, text: str) -> None:
    """Writes a line for what would go over the one before.

    A bar that ends says its last count again; once is enough.
    """
    line = text.strip("\r\n ")
    count = line.partition(",")[0]
    if line and count != self._count:
      self._count = count
      self._file.write(line + "\n")

  def flush(self) -> None:
    """Passes on what is written."""
    self._file.flush()
