"""Flags and environments that name other processes, before jax starts."""

import re
import socket

import jax
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments.harness import cluster
from qsharp_jax.core.errors import InputError


@pytest.fixture
def join(tmp_path, monkeypatch):
  """What jax is asked for by these flags and variables; [] if nothing."""
  # Not parsed: modules of other tests have flags that are required.
  flags.FLAGS.mark_as_parsed()
  asked = []
  monkeypatch.setattr(
    jax.distributed, "initialize", lambda *given, **_: asked.append(given)
  )
  monkeypatch.setattr(cluster, "_is_tpu", lambda: False)

  def run(given, **variables):
    asked.clear()
    names = ("coordinator_address", "num_processes", "process_id")
    chosen = dict(zip(names, given, strict=True))
    with monkeypatch.context() as patch, flagsaver.flagsaver(**chosen):
      for name, value in variables.items():
        patch.setenv(name, value)
      cluster.join(tmp_path)
    return list(asked)

  return run


NONE = (None, None, None)
MPI = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1"}


def test_the_address_alone_completes_what_open_mpi_tells(join):
  asked = join(("host:7", None, None), **MPI)
  assert asked == [("host:7", 2, 1)]
  with pytest.raises(InputError, match="Open MPI 5 does not say where"):
    join(NONE, **MPI)


def test_flags_stand_above_the_environment(join):
  assert join(("host:7", 3, 2), **MPI, SLURM_NTASKS="odd") == [("host:7", 3, 2)]


def test_jax_asks_the_launcher_that_tells_all(join):
  told = MPI | {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.9.0.1:3491"}
  assert join(NONE, **told) == [NONE]


@pytest.mark.parametrize(
  ("address", "says"),
  [
    ("host", "'host'; expected HOST:PORT"),
    (":7", "':7'; expected HOST:PORT"),
    ("host:", "expected HOST:PORT"),
    ("host:٣", "expected HOST:PORT"),
    ("host:0", "port 0; expected 1 to 65535"),
    ("host:65536", "port 65536; expected"),
    ("x" * 10**4, "…; expected HOST:PORT"),
  ],
)
def test_what_is_no_address_is_one_line(address, says, join):
  with pytest.raises(InputError, match=re.escape(says)):
    join((address, 2, 1))


def test_a_port_that_is_taken_is_named_by_the_process_that_needs_it(join):
  with socket.socket() as other:
    other.bind(("", 0))
    other.listen()
    port = other.getsockname()[1]
    says = f"port {port} of this host cannot be had"
    with pytest.raises(InputError, match=says):
      join((f"127.0.0.1:{port}", 2, 0))
    assert join((f"127.0.0.1:{port}", 2, 1))
  assert join((f"127.0.0.1:{port}", 2, 0))


def test_all_that_started_and_did_not_meet_are_told_apart(tmp_path):
  call = cluster._RollCall(tmp_path, "1", 2, 10.0)
  (tmp_path / "1").write_text("here")
  assert "missing: 0 of 2; started: 1 on here" in call._complaint()
  (tmp_path / "0").write_text("there")
  says = call._complaint()
  assert "all 2 processes have started (0 on there, 1 on here)" in says
  assert "its port is taken by another program" in says
