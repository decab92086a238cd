"""Progress bars: live in a terminal, a line now and then in a log file."""

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import auto as tqdm

_LOG_SECONDS = 20.0  # between two lines where nobody watches


def bar(
  items: Iterable | None, name: str, *, total: int, done: int = 0, unit: str
) -> Any:
  """A tqdm bar over `items`, or one to be updated by hand.

  Args:
    items: to iterate over, or None.
    name: what is going on.
    total: how much there is in all.
    done: how much an earlier attempt did.
    unit: of what.
  """
  return tqdm.tqdm(
    items,
    name,
    total,
    initial=done,
    unit=unit,
    mininterval=0.2 if sys.stderr.isatty() else _LOG_SECONDS,
  )
