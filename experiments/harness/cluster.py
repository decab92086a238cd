"""Which processes run this command together, found before jax starts."""

import contextlib
import importlib.util
import os
import socket
import sys
import threading
import time

from absl import flags

from experiments.harness import accelerators
from qsharp_jax.core import files, places
from qsharp_jax.core.errors import InputError

_ADDRESS = flags.DEFINE_string(
  "coordinator_address",
  None,
  "HOST:PORT of process 0, where Slurm, Open MPI or a Cloud TPU do not tell.",
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

# What srun, mpirun and a TPU's host say: number of a process, how many.
_RANKS = ("SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "TPU_WORKER_ID")
_COUNTS = ("SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE")
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

  given = [_ADDRESS.value, _NUM.value, _ID.value]
  is_explicit = None not in given
  if not is_explicit and any(value is not None for value in given):
    raise InputError(
      "--coordinator_address, --num_processes and --process_id go together; "
      f"got {given}: give all three, or none under srun, mpirun or on a TPU"
    )
  if is_explicit and not 0 <= _ID.value < _NUM.value:
    raise InputError(
      f"--process_id is {_ID.value}; expected 0 to {_NUM.value - 1}"
    )
  if not is_explicit and not _is_cluster():
    processes.termination.listen()
    return
  own, count = _own_rank(), _count()
  with _RollCall(shared / workdir.ROLL_CALL, own, count, _TIMEOUT.value):
    jax.distributed.initialize(
      *given, initialization_timeout=_TIMEOUT.value + int(2 * _MARGIN)
    )


def _is_cluster() -> bool:
  """Whether something has started this command more than once."""
  if any(int(os.environ.get(name, 1)) > 1 for name in _COUNTS):
    return any(name in os.environ for name in _RANKS)
  # One host of a TPU slice does not know of the others: jax asks.
  has_library = importlib.util.find_spec("libtpu") is not None
  wanted = os.environ.get("JAX_PLATFORMS", "tpu").startswith("tpu")
  return accelerators.has_tpu() and has_library and wanted


def _own_rank() -> str:
  """Number of this process, or the name of its host."""
  known = [os.environ[name] for name in _RANKS if name in os.environ]
  if _ID.value is not None:
    known.insert(0, str(_ID.value))
  return known[0] if known else socket.gethostname()


def _count() -> int | None:
  known = [os.environ[name] for name in _COUNTS if name in os.environ]
  return _NUM.value or (int(known[0]) if known else None)


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
      text += f"; missing: {', '.join(missing) or 'none'} of {self._count}"
    return (
      f"{text}; started: {who}; look at the logs of the missing ones, and "
      "whether they reach the port of process 0"
    )
