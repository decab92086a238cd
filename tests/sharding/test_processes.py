"""One process alone; several are in tests/integration/test_local.py."""

import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from qsharp_jax.core import errors
from qsharp_jax.sharding import mesh as mesh_lib
from qsharp_jax.sharding import processes


@pytest.fixture
def two_of(monkeypatch):
  """Pretends to be one of several processes."""

  def pretend(index, count):
    monkeypatch.setattr(jax, "process_index", lambda: index)
    monkeypatch.setattr(jax, "process_count", lambda: count)

  return pretend


def test_one_process_does_everything():
  assert processes.is_main()
  assert all(processes.is_mine(i) for i in range(5))


@pytest.mark.parametrize("count", [2, 3])
def test_every_piece_of_work_is_one_processs(two_of, count):
  shares = []
  for index in range(count):
    two_of(index, count)
    assert processes.is_main() == (index == 0)
    shares.append({i for i in range(7) if processes.is_mine(i)})
  assert sorted(i for share in shares for i in share) == list(range(7))


def test_alone_nobody_is_waited_for_and_every_value_is_agreed_on():
  processes.barrier("nowhere", timeout=0)
  processes.leave()
  value = object()
  assert processes.agree("what", value) is value


def test_arrays_cut_over_devices_come_whole():
  mesh = mesh_lib.make_mesh()
  rows = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
  x = np.arange(16.0, dtype=np.float32).reshape(8, 2)
  found = processes.fetch({"cut": jax.device_put(x, rows), "one": jnp.int32(3)})
  assert all(isinstance(leaf, np.ndarray) for leaf in found.values())
  np.testing.assert_array_equal(found["cut"], x)
  assert found["one"] == 3


def test_a_wish_to_end_is_remembered_instead_of_ending():
  before = signal.getsignal(signal.SIGTERM)
  termination = processes._Termination()
  try:
    termination.listen()
    assert not termination.look()
    os.kill(os.getpid(), signal.SIGTERM)
    assert termination.look() and termination.look()
  finally:
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
  ("words", "says"),
  [
    (
      "DEADLINE_EXCEEDED: Barrier timed out. Some timed out task names:\n1\n2\n"
      "\n\nRPC: /xla",
      "process 1, 2 did not come to 'end of collect_1' in time",
    ),
    (
      "INTERNAL: Barrier failed because: task is set to ERROR: UNAVAILABLE: "
      "Task 3 heartbeat timeout. This indicates that",
      "process 3 did not come to 'end of collect_1' in time",
    ),
  ],
)
def test_whoever_does_not_come_is_named(words, says, two_of, monkeypatch):
  def fail(*_, **__):
    raise RuntimeError(words)

  two_of(0, 4)
  monkeypatch.setattr(processes.ocp.multihost, "sync_global_processes", fail)
  with pytest.raises(errors.Absent, match=says):
    processes.barrier("end of collect_1")


def test_another_fault_of_a_barrier_is_raised_as_it_is(two_of, monkeypatch):
  def fail(*_, **__):
    raise RuntimeError("something else")

  two_of(0, 4)
  monkeypatch.setattr(processes.ocp.multihost, "sync_global_processes", fail)
  with pytest.raises(RuntimeError, match="^something else$"):
    processes.barrier("x")
