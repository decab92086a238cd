"""The one way an experiment starts, and the one way it refuses.

A user's mistake is one line on stderr and exit code 2, never a traceback; a
traceback is a fault of the code, with exit code 1. Exit code 75 means that the
machine was wanted back and the same command goes on from what is saved.
"""

import gc
import logging as std_logging
import os
import pathlib
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from absl import app, flags, logging

import qsharp_jax
from experiments.harness import accelerators, config_flag, storage
from qsharp_jax.core.errors import Absent, InputError, Preempted

PREEMPTED = 75  # "try again later", as sysexits.h has it
INTERRUPTED = 130  # what a shell says of a command that Ctrl-C ended
_LONGEST = 1000  # characters of a refusal
# Tracing a program makes millions of objects that stay: walking through them
# after every 700 is a tenth of a short run's time.
_OBJECTS_BETWEEN_COLLECTIONS = 50_000
_GRACE = 5.0  # seconds between Ctrl-C and the end
_HELP = {f"{dash}{name}" for dash in ("-", "--") for name in ("help", "h", "?")}
_ORBAX = f"{os.sep}orbax{os.sep}"
_HUB = "huggingface_hub"  # prints by a handler of its own, every retry twice
_OURS = str(pathlib.Path(qsharp_jax.__file__).parent) + os.sep


def run(main: Callable[[list[str]], Any]) -> NoReturn:
  """Parses the flags, calls `main` and exits the process.

  Args:
    main: takes the list of the program's name alone; what it returns becomes
      the exit code, None is success.
  """
  gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
  accelerators.spare_the_search()
  logging.get_absl_handler().addFilter(_is_wanted)
  logging.get_absl_handler().setFormatter(_Plainly())

  def refusing_main(argv: list[str]) -> Any:
    _quieten()
    try:
      return main(argv)
    except InputError as error:
      _refuse(str(error))
    except Preempted as reason:
      print(
        f"pre-empted: {reason}; run the same command again", file=sys.stderr
      )
      _exit(PREEMPTED)
    except Absent as error:
      print(f"error: {error}", file=sys.stderr)
      _exit(1)
    except Exception as error:
      if refusal := storage.refusal(error):
        _refuse(refusal)
      traceback.print_exc()
      _exit(1)

  signal.signal(signal.SIGINT, _interrupt)
  try:
    app.run(refusing_main, flags_parser=_parse)
  except KeyboardInterrupt:
    _interrupted()
  raise AssertionError("absl's run has exited")


def _interrupt(number: int, frame: object) -> NoReturn:
  """Ends the run from wherever it is.

  Called back from C++, Python code can lose the exception, and a save that was
  interrupted may wait for ever; what is half-written is never looked at.
  """
  del number, frame
  timer = threading.Timer(_GRACE, _interrupted)
  timer.daemon = True
  timer.start()
  raise KeyboardInterrupt


def _interrupted() -> NoReturn:
  start = "\n" if sys.stderr.isatty() else ""  # below ^C and a bar
  print(
    f"{start}interrupted: run the same command again to go on", file=sys.stderr
  )
  _leave(INTERRUPTED)


def _quieten() -> None:
  """Leaves the Hub's retries to --verbosity=1; what comes of them is raised."""
  if flags.FLAGS.verbosity <= 0 and "HF_HUB_VERBOSITY" not in os.environ:
    os.environ["HF_HUB_VERBOSITY"] = "error"  # which it reads as it is loaded
    std_logging.getLogger(_HUB).setLevel(std_logging.ERROR)


def _verbosity() -> int:
  """Of what is said; a user's config may log before there are flags."""
  return flags.FLAGS.verbosity if flags.FLAGS.is_parsed() else 0


def _is_wanted(record: std_logging.LogRecord) -> bool:
  """Ours and warnings; --verbosity=1 adds every detail that libraries tell."""
  if record.exc_info and record.exc_info[0] is KeyboardInterrupt:
    return False  # Orbax reports where it was
  if record.exc_info and _ORBAX in record.pathname:
    return _verbosity() > 0  # each of its threads; it is raised, too
  if _ORBAX in record.pathname and record.levelno < std_logging.ERROR:
    return _verbosity() > 0  # such as that a save took its time
  return (
    record.levelno >= std_logging.WARNING
    or record.pathname.startswith(_OURS)
    or _verbosity() > 0
  )


class _Plainly(logging.PythonFormatter):
  """Says what happened; where in the code, only with --verbosity=1."""

  def format(self, record: std_logging.LogRecord) -> str:
    """A line, and a traceback where there is one."""
    if _verbosity() > 0:
      return super().format(record)
    is_warning = record.levelno >= std_logging.WARNING
    return "warning: " * is_warning + std_logging.Formatter.format(self, record)


def _parse(argv: list[str]) -> list[str]:
  try:
    # The flags of a config's fields are found in sys.argv.
    sys.argv[:] = argv = config_flag.complete(argv)
    if not _HELP.isdisjoint(argv):
      _help(argv)
    rest = flags.FLAGS(argv)
  except flags.Error as error:
    # A config file runs while the flags are parsed; absl wraps its refusal.
    _refuse(f"{_refusal_behind(error)} (--help lists the flags)")
  except AttributeError as error:  # a config file sets what is not there
    _refuse(f"--config: {error}")
  if len(rest) > 1:
    _refuse(f"unexpected argument {rest[1]!r}: flags are --name=value")
  return rest


def _help(argv: Sequence[str]) -> NoReturn:
  """Prints the flags, and the fields of the config that argv chooses."""
  rest = [word for word in argv if word not in _HELP]
  sys.argv[:] = rest
  try:
    flags.FLAGS(rest, known_only=True)
  except flags.Error as error:
    # That a flag is missing matters to a run only.
    if isinstance(found := _refusal_behind(error), InputError):
      _refuse(str(found))
  app.usage(shorthelp=True, writeto_stdout=True)
  if "config" in flags.FLAGS and flags.FLAGS.config is not None:
    print("\nThe fields of this config:")
    print(*config_flag.fields(flags.FLAGS.config), sep="\n")
  print("\n--helpfull lists all flags, also those of libraries.")
  sys.exit(0)


def _refusal_behind(error: BaseException) -> BaseException:
  """The innermost InputError that led to an error, or the error itself."""
  found = error
  cause: BaseException | None = error
  while cause is not None:
    found = cause if isinstance(cause, InputError) else found
    cause = cause.__cause__ or cause.__context__
  return found


def _refuse(message: str) -> NoReturn:
  print(f"error: {line(message)}", file=sys.stderr)
  _exit(2)


def line(message: str) -> str:
  """A message in one line; the middle of a very long one is left out."""
  text = " ".join(message.split())
  if len(text) <= _LONGEST:
    return text
  return f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"


def _exit(code: int) -> NoReturn:
  """Ends this process; the others must not wait for it to say goodbye."""
  jax = sys.modules.get("jax")
  if jax is not None and jax.distributed.is_initialized():
    _leave(code)
  sys.exit(code)


def _leave(code: int) -> NoReturn:
  """Ends this process at once, threads or not."""
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)
