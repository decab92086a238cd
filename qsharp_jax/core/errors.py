"""The one error that means "the input is wrong", not "the code is wrong"."""

import contextlib
from collections.abc import Iterator

_LONGEST_REASON = 300  # characters
_LONGEST_VALUE = 120


class InputError(ValueError):
  """Bad input from a user: one line saying what was got, expected, to do.

  Entry points print the line and exit with code 2; library callers catch it as
  a ValueError.
  """


class Preempted(Exception):
  """The machine is wanted back; all that was done is saved."""


class Absent(RuntimeError):
  """Other processes of the run do not come, so that this one cannot go on."""


@contextlib.contextmanager
def foreign(what: str, advice: str) -> Iterator[None]:
  """Turns whatever goes wrong with foreign input into one InputError.

  Parsers of other libraries raise classes of their own, bare `Exception`s,
  RecursionErrors and, where they are written in Rust, panics that are no
  `Exception` at all.

  Args:
    what: what was attempted, without the reason: "FILE is not JSON".
    advice: what to do about it.

  Raises:
    InputError: `what`, the reason and `advice`, in one line.
  """
  try:
    yield
  except (InputError, Preempted, Absent):
    raise
  except BaseException as error:
    is_panic = type(error).__name__ == "PanicException"
    if not isinstance(error, Exception) and not is_panic:
      raise
    raise InputError(f"{what} ({reason(error)}); {advice}") from error


def reason(error: BaseException) -> str:
  """The first line of an exception, or its class where it says nothing."""
  # A message may hold half of a surrogate pair, which cannot be printed.
  text = str(error).encode(errors="backslashreplace").decode()
  lines = text.strip().splitlines()
  if isinstance(error, RecursionError):
    return "nested too deeply"
  return lines[0][:_LONGEST_REASON] if lines else type(error).__name__


def short(value: object, longest: int = _LONGEST_VALUE) -> str:
  """The `repr` of something foreign, cut where it would flood a message."""
  text = repr(value)
  return text if len(text) <= longest else text[:longest] + "…"
