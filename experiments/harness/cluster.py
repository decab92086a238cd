"""Which processes run this command together, found before jax starts."""

import contextlib
import importlib.util
import os
import socket
import sys
import threading
import time

from absl import flags

from experiments.harness import accelerators, ranks
from qsharp_jax.core import errors, files, places
from qsharp_jax.core.errors import InputError

_ADDRESS = flags.DEFINE_string(
  "coordinator_address",
  None,
  "HOST:PORT of process 0, where Slurm, Open MPI or a Cloud TPU do not tell; "
  "alone where they only do not tell that.",
)
_NUM = flags.DEFINE_integer(
  "num_processes", None, "Processes in all; goes with --coordinator_address."
)
_ID = flags.DEFINE_integer(
  "process_id", None, "Which of them this is; goes with --coordinator_address."
)
_TIMEOUT = flags.DEFINE_integer(
  "start_timeout", 300, "Seconds to wait for all processes to start.", 10
)

# Before jax gives up, which would be without a name.
_MARGIN = 5.0
_READING = 2.0  # seconds in which the others read who is there


def join(shared: places.Path) -> None:
  """Waits until all processes of this command have started.

  Does nothing where there is one. On Slurm (under srun), Open MPI and Cloud TPU
  jax finds the others by itself; elsewhere the three flags say.

  Args:
    shared: directory that every process sees.

  Raises:
    InputError: flags that do not go together.
  """
  # Here, so that --help need not wait for jax.
  import jax

  from qsharp_jax.pipeline import workdir
  from qsharp_jax.sharding import processes

  given = _given()
  found = ranks.told() if given is None else None
  if given is None and found is None and not _is_tpu():
    processes.termination.listen()
    return
  address, count, own = given or (None, None, None)
  if found is not None:
    address, count, own = _ADDRESS.value, found.count, found.rank
    if address is None and found.fault:
      raise InputError(found.fault)
  if address is not None:
    _check_address(address, is_first=own == 0)
  # Without an address jax asks the launcher for all three.
  asked = (None, None, None) if address is None else (address, count, own)
  name = _host_number() if own is None else str(own)
  with _RollCall(shared / workdir.ROLL_CALL, name, count, _TIMEOUT.value):
    jax.distributed.initialize(
      *asked, initialization_timeout=_TIMEOUT.value + int(2 * _MARGIN)
    )


def _given() -> tuple[str, int, int] | None:
  """What the three flags say, None if nothing, or an address alone."""
  given = (_ADDRESS.value, _NUM.value, _ID.value)
  if None not in given:
    if not 0 <= _ID.value < _NUM.value:
      raise InputError(
        f"--process_id is {_ID.value}; expected 0 to {_NUM.value - 1}"
      )
    return given
  is_alone = given[1:] == (None, None)
  if given[0] is None and is_alone:
    return None
  if is_alone and ranks.told() is not None:
    return None
  raise InputError(
    "--coordinator_address, --num_processes and --process_id go together; got "
    f"{list(given)}: give all three, or none under srun, mpirun or on a TPU"
  )


def _check_address(address: str, *, is_first: bool) -> None:
  """Refuses what is no address, or one that process 0 cannot have."""
  host, _, port = address.rpartition(":")
  if not host or not port.isascii() or not port.isdigit():
    raise InputError(
      f"--coordinator_address is {errors.short(address)}; expected HOST:PORT"
    )
  if not 0 < int(port) < 2**16:
    raise InputError(
      f"--coordinator_address has the port {port}; expected 1 to {2**16 - 1}"
    )
  if not is_first:
    return
  with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
      probe.bind(("", int(port)))
    except OSError as error:
      raise InputError(
        f"port {port} of this host cannot be had ({error.strerror}); choose "
        "another in --coordinator_address"
      ) from error


def _is_tpu() -> bool:
  """Whether jax is to ask a TPU's host for the others."""
  # One host of a TPU slice does not know of the others: jax asks.
  has_library = importlib.util.find_spec("libtpu") is not None
  wanted = os.environ.get("JAX_PLATFORMS", "tpu").startswith("tpu")
  return accelerators.has_tpu() and has_library and wanted


def _host_number() -> str:
  """Number of this host of a TPU, or its name."""
  number = os.environ.get("TPU_WORKER_ID", "")
  return number if number.isdigit() else socket.gethostname()


class _RollCall:
  """Names who is missing, since jax only says that somebody is.

  Each process leaves a file until all have met.
  """

  def __init__(
    self,
    directory: places.Path,
    own: str,
    count: int | None,
    timeout: float,
  ):
    self._directory, self._own, self._count = directory, own, count
    self._timeout = timeout
    self._started = time.time()
    self._timer = threading.Timer(timeout, self._give_up)
    self._timer.daemon = True

  def __enter__(self) -> None:
    files.replace(self._directory / self._own, socket.gethostname())
    self._timer.start()

  def __exit__(self, *exception: object) -> None:
    self._timer.cancel()
    (self._directory / self._own).unlink(missing_ok=True)

  def _give_up(self) -> None:
    """Ends the process: jax is waiting inside, where nothing else can."""
    print(f"error: {self._complaint()}", file=sys.stderr, flush=True)
    time.sleep(_READING)
    (self._directory / self._own).unlink(missing_ok=True)
    os._exit(1)

  def _complaint(self) -> str:
    # Files of an earlier attempt, if it was killed, are too old to count.
    oldest = self._started - self._timeout
    here = {}
    for path in self._directory.glob("[!.]*"):
      with contextlib.suppress(FileNotFoundError):  # its process gave up, too
        if places.modified(path) >= oldest:
          here[path.name] = path.read_text()
    who = ", ".join(f"{name} on {host}" for name, host in sorted(here.items()))
    text = f"not all processes have started within {self._timeout} s"
    if self._count is not None:
      expected = map(str, range(self._count))
      missing = [name for name in expected if name not in here]
      if not missing:
        return (
          f"all {self._count} processes have started ({who}), but did not "
          f"reach process 0 within {self._timeout} s; see whether its port is "
          "taken by another program, or closed to the others"
        )
      text += f"; missing: {', '.join(missing)} of {self._count}"
    return (
      f"{text}; started: {who}; look at the logs of the missing ones, and "
      "whether they reach the port of process 0"
    )
