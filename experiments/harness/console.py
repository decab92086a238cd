"""The one way an experiment starts, and the one way it refuses.

A user's mistake is one line on stderr and exit code 2, never a traceback; a
traceback is a fault of the code, with exit code 1. Exit code 75 means that the
machine was wanted back and the same command goes on from what is saved.
"""

import logging as std_logging
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from absl import app, flags, logging

from qsharp_jax.core.errors import InputError, Preempted

PREEMPTED = 75  # "try again later", as sysexits.h has it


def run(main: Callable[[list[str]], Any]) -> NoReturn:
  """Parses the flags, calls `main` and exits the process.

  Args:
    main: takes the list of the program's name alone; what it returns becomes
      the exit code, None is success.
  """
  # Libraries tell every detail of their work; ours and warnings are enough.
  logging.get_absl_handler().addFilter(
    lambda record: (
      record.levelno >= std_logging.WARNING or "qsharp_jax" in record.pathname
    )
  )

  def refusing_main(argv: list[str]) -> Any:
    try:
      return main(argv)
    except InputError as error:
      _refuse(str(error))
    except Preempted as reason:
      print(
        f"pre-empted: {reason}; run the same command again", file=sys.stderr
      )
      _exit(PREEMPTED)
    except Exception:
      traceback.print_exc()
      _exit(1)

  app.run(refusing_main, flags_parser=_parse)


def _parse(argv: list[str]) -> list[str]:
  try:
    rest = flags.FLAGS(argv)
  except flags.Error as error:
    # A config file runs while the flags are parsed; absl wraps its refusal.
    _refuse(f"{_refusal_behind(error)} (--help lists the flags)")
  except AttributeError as error:  # ml_collections' way for --config.typo=1
    _refuse("the config has no field " + str(error).strip('"'))
  if len(rest) > 1:
    _refuse(f"unexpected argument {rest[1]!r}: flags are --name=value")
  for name in flags.FLAGS:
    try:  # a config file that is missing raises at its first use, so use it
      getattr(flags.FLAGS[name].value, "lock", None)
    except OSError as error:
      _refuse(f"--{name} does not load: {error}")
  return rest


def _refusal_behind(error: BaseException) -> BaseException:
  """The innermost InputError that led to an error, or the error itself."""
  found, cause = error, error
  while cause := cause.__cause__ or cause.__context__:
    found = cause if isinstance(cause, InputError) else found
  return found


def _refuse(message: str) -> NoReturn:
  line = " ".join(message.split())
  print(f"error: {line}", file=sys.stderr)
  _exit(2)


def _exit(code: int) -> NoReturn:
  """Ends this process; the others must not wait for it to say goodbye."""
  jax = sys.modules.get("jax")
  if jax is not None and jax.distributed.is_initialized():
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
  sys.exit(code)
