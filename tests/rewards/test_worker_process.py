"""One grading process as its parent sees it."""

import math
import select
import time

import pytest

from qsharp_jax.rewards.graders import Grade
from qsharp_jax.rewards.worker_process import WorkerProcess


@pytest.fixture
def worker():
  found = WorkerProcess("strict", 8.0, 120.0)
  yield found
  found.kill()


def receive(worker, grades, until):
  """Reads what comes until a condition holds or the process has died."""
  while not until():
    select.select([worker], [], [], 120)
    if not worker.receive(grades, 30.0):
      return False
  return True


def test_from_its_start_to_its_answers(worker):
  assert not worker.is_ready and not worker.todo
  assert worker.deadline < math.inf  # it may not take for ever to start
  grades = [None] * 3
  assert receive(worker, grades, lambda: worker.is_ready)
  assert worker.deadline == math.inf and grades == [None] * 3
  worker.send(
    [2, 0], [("#### 7", "#### 7", ""), ("#### 1", "#### 2", "")], 30.0
  )
  assert list(worker.todo) == [2, 0]
  assert time.monotonic() < worker.deadline <= time.monotonic() + 30
  assert receive(worker, grades, lambda: not worker.todo)
  assert grades == [Grade(False, "1", 0.0), None, Grade(True, "7", 1.0)]
  assert worker.deadline == math.inf


def test_a_process_that_was_killed_is_seen_to_be_dead(worker):
  grades = [None]
  receive(worker, grades, lambda: worker.is_ready)
  worker.process.kill()
  assert not receive(worker, grades, lambda: False)
  assert grades == [None]


def test_killing_ends_it_before_it_is_ready():
  worker = WorkerProcess("strict", 8.0, 120.0)
  worker.kill()
  assert worker.process.returncode is not None
