"""What srun or mpirun tell a process: which one it is, of how many."""

import dataclasses
import os
import re

from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError

_FLAGS = "--coordinator_address, --num_processes and --process_id"
_ORTE = re.compile(r"\d+\..*(tcp://.+[,:]|tcp6://\[.+[,\]])")


@dataclasses.dataclass(frozen=True)
class Told:
  """What a launcher says.

  Attributes:
    rank: which process this is.
    count: how many there are, at least 2.
    fault: why jax cannot find process 0 by itself; "" where it can.
  """

  rank: int
  count: int
  fault: str


def told() -> Told | None:
  """What this process's launcher says; None where there is one process.

  Raises:
    InputError: a variable that is not what a launcher writes.
  """
  # In jax's order: an mpirun inside a job of Slurm counts for itself.
  return _open_mpi() or _slurm()


def _open_mpi() -> Told | None:
  found = _rank_of("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")
  if found is None:
    return None
  is_known = _ORTE.match(os.environ.get("OMPI_MCA_orte_hnp_uri", ""))
  fault = (
    "mpirun started this, but Open MPI 5 does not say where process 0 is; add "
    "--coordinator_address=HOST:PORT of process 0"
  )
  return Told(*found, "" if is_known else fault)


def _slurm() -> Told | None:
  found = _rank_of("SLURM_PROCID", "SLURM_NTASKS")
  if found is None:
    return None
  local, job = _number("SLURM_LOCALID"), _number("SLURM_JOB_ID")
  is_step = bool(os.environ.get("SLURM_STEP_NODELIST"))
  fault = (
    f"SLURM_NTASKS is {found[1]}, but srun did not start this: put srun before "
    f"the command, or give {_FLAGS}"
  )
  return Told(*found, "" if is_step and None not in (local, job) else fault)


def _rank_of(rank_name: str, count_name: str) -> tuple[int, int] | None:
  count, rank = _number(count_name), _number(rank_name)
  if count is None or rank is None or count == 1:
    return None
  if rank >= count:
    raise InputError(
      f"{rank_name} is {rank} and {count_name} is {count}; expected 0 to "
      f"{count - 1}: unset both, or give {_FLAGS}"
    )
  return rank, count


def _number(name: str) -> int | None:
  """A variable of the environment, None where it is not set."""
  text = os.environ.get(name)
  if text is None:
    return None
  if not re.fullmatch(r"[0-9]{1,9}", text):
    raise InputError(
      f"{name} is {errors.short(text)} in the environment; expected a whole "
      f"number, as srun and mpirun write it: unset it, or give {_FLAGS}"
    )
  return int(text)
