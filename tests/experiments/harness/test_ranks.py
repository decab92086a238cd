"""What launchers leave in the environment, whole, in part or odd."""

import re

import pytest

from experiments.harness import ranks
from qsharp_jax.core.errors import InputError

STEP = {
  "SLURM_JOB_ID": "4242",
  "SLURM_NTASKS": "4",
  "SLURM_PROCID": "3",
  "SLURM_LOCALID": "1",
  "SLURM_STEP_NODELIST": "node[1-2]",
}
MPI = {
  "OMPI_COMM_WORLD_SIZE": "2",
  "OMPI_COMM_WORLD_RANK": "1",
  "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}
ORTE = {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.96.0.1:34911"}


@pytest.fixture
def told(monkeypatch):
  """A function from an environment to what it tells."""

  def read(variables):
    with monkeypatch.context() as patch:
      for name in {*STEP, *MPI, *ORTE}:
        patch.delenv(name, raising=False)
      for name, value in variables.items():
        patch.setenv(name, value)
      return ranks.told()

  return read


@pytest.mark.parametrize(
  "variables",
  [
    {},
    {"SLURM_JOB_ID": "4242"},
    {"SLURM_JOB_ID": "4242", "SLURM_NTASKS": "4"},  # the shell of salloc
    STEP | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"},
    MPI | {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"},
  ],
)
def test_one_process_is_told_nothing(variables, told):
  assert told(variables) is None


def test_a_step_of_srun_and_an_older_mpirun_are_found_by_jax(told):
  assert told(STEP) == ranks.Told(3, 4, "")
  assert told(MPI | ORTE) == ranks.Told(1, 2, "")
  # mpirun inside a step, as jax takes it.
  assert told(STEP | MPI | ORTE) == ranks.Told(1, 2, "")


def test_a_batch_shell_without_srun_is_named(told):
  del (shell := dict(STEP))["SLURM_STEP_NODELIST"]
  found = told(shell | {"SLURM_PROCID": "0"})
  assert (found.rank, found.count) == (0, 4)
  assert "put srun before the command" in found.fault


@pytest.mark.parametrize("uri", ["", "x", "1;tcp://1.2.3.4:5", "7.0;udp://x"])
def test_open_mpi_5_wants_an_address(uri, told):
  for found in (told(MPI), told(MPI | {"OMPI_MCA_orte_hnp_uri": uri})):
    assert (found.rank, found.count) == (1, 2)
    assert "--coordinator_address=HOST:PORT" in found.fault


ODD = ["", " ", "x", "-1", "1.0", "2(x3)", "٣", "9" * 400, "0x2", "1\n", "nan"]


@pytest.mark.parametrize("value", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize(
  "name",
  [
    *("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_JOB_ID"),
    *("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
  ],
)
def test_odd_values_are_one_line_that_names_the_variable(name, value, told):
  base = STEP if name in STEP else MPI
  with pytest.raises(InputError) as error:
    told(base | {name: value})
  says = str(error.value)
  assert name in says and "whole number" in says and "\n" not in says
  assert len(says) < 400


def test_a_rank_beyond_the_count_is_refused(told):
  says = "SLURM_PROCID is 4 and SLURM_NTASKS is 4; expected 0 to 3"
  with pytest.raises(InputError, match=re.escape(says)):
    told(STEP | {"SLURM_PROCID": "4"})
