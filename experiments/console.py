"""The one way an experiment starts, and the one way it refuses.

A user's mistake is one line on stderr and exit code 2, never a traceback; a
traceback is a fault of the code, with exit code 1.
"""

import sys
from collections.abc import Callable
from typing import Any, NoReturn

from absl import app, flags

from qsharp_jax.core.errors import InputError


def run(main: Callable[[list[str]], Any]) -> NoReturn:
  """Parses the flags, calls `main` and exits the process.

  Args:
    main: takes the list of the program's name alone; what it returns becomes
      the exit code, None is success.
  """

  def refusing_main(argv: list[str]) -> Any:
    try:
      return main(argv)
    except InputError as error:
      _refuse(str(error))

  app.run(refusing_main, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
  try:
    rest = flags.FLAGS(argv)
  # A config file is read while the flags are parsed, and may be missing or
  # refuse its variant.
  except (flags.Error, InputError, FileNotFoundError) as error:
    _refuse(f"{error} (--help lists the flags)")
  if len(rest) > 1:
    _refuse(f"unexpected argument {rest[1]!r}: flags are --name=value")
  return rest


def _refuse(message: str) -> NoReturn:
  line = " ".join(message.split())
  print(f"error: {line}", file=sys.stderr)
  sys.exit(2)
