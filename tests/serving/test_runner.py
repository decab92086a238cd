"""The engine's thread: all or none, in any order, through failures."""

import contextlib
import queue
import threading

import numpy as np
import pytest

from qsharp_jax.serving import jobs, runner


class Counting:
  """An engine that writes its prompt backwards, a token a turn."""

  def __init__(self, num_rows=2):
    self.rows, self.num_rows, self.waiting = {}, num_rows, {}
    self.is_broken = False

  @property
  def is_idle(self):
    return not self.rows and not self.waiting

  @property
  def tickets(self):
    return [*self.rows, *self.waiting]

  def submit(self, ticket, job):
    self.waiting[ticket] = list(job.prompt)

  def cancel(self, ticket):
    self.rows.pop(ticket, None)
    self.waiting.pop(ticket, None)

  def reset(self):
    self.rows, self.waiting = {}, {}

  def turn(self):
    if self.is_broken:
      self.is_broken = False
      raise MemoryError("no room")
    while len(self.rows) < self.num_rows and self.waiting:
      ticket = next(iter(self.waiting))
      self.rows[ticket] = self.waiting.pop(ticket)
    told = []
    for ticket, left in list(self.rows.items()):
      tokens = np.array([left.pop()], np.int32)
      told.append(
        jobs.Progress(ticket, tokens, np.zeros(1), None, is_over=not left)
      )
      if not left:
        del self.rows[ticket]
    return told


class Inbox:
  """What the runner has delivered."""

  def __init__(self):
    self.told = queue.SimpleQueue()

  def __call__(self, told):
    for progress in told:
      self.told.put(progress)

  def until_over(self, number):
    found = {}
    while number:
      progress = self.told.get(timeout=10)
      found.setdefault(progress.ticket, []).append(progress)
      number -= progress.is_over
    return found


@contextlib.contextmanager
def running(engine, **changes):
  inbox = Inbox()
  own = runner.Runner(engine, inbox, **({"max_queue": 8} | changes))
  try:
    yield own, inbox
  finally:
    assert own.close(10)


def job(*prompt):
  return jobs.Job(prompt, 0, 1)


def no_notice(tickets):
  del tickets


def test_all_jobs_are_told_whole_and_once():
  with running(Counting()) as (own, inbox):
    tickets = own.submit([job(3, 2, 1), job(5, 4), job(6)], no_notice)
    found = inbox.until_over(3)
  said = [[int(p.tokens[0]) for p in found[ticket]] for ticket in tickets]
  assert said == [[1, 2, 3], [4, 5], [6]] and own.num_open == 0


def test_the_queue_takes_all_jobs_or_none():
  gate = threading.Event()
  with running(Counting(), max_queue=3) as (own, inbox):
    own.call(gate.wait)
    own.submit([job(1), job(2)], no_notice)
    with pytest.raises(runner.Full):
      own.submit([job(3), job(4)], no_notice)
    own.submit([job(3)], no_notice)
    gate.set()
    assert len(inbox.until_over(3)) == 3
    own.submit([job(5)], no_notice)
    inbox.until_over(1)


def test_of_cancelled_jobs_nothing_is_told():
  gate = threading.Event()
  with running(Counting(num_rows=1)) as (own, inbox):
    own.call(gate.wait)
    first, second, third = own.submit([job(1), job(2, 2), job(3)], no_notice)
    own.cancel([second, 99])
    gate.set()
    assert set(inbox.until_over(2)) == {first, third}
    own.cancel([first])  # is over


def test_tickets_are_noticed_before_anything_happens():
  seen = []
  with running(Counting()) as (own, inbox):
    tickets = own.submit(
      [job(1)], lambda found: seen.append((found, inbox.told.empty()))
    )
    inbox.until_over(1)
  assert seen == [(tickets, True)]


def test_a_failed_turn_ends_its_jobs_and_no_others():
  engine = Counting()
  gate = threading.Event()
  with running(engine) as (own, inbox):
    own.call(gate.wait)
    lost = own.submit([job(1, 1), job(2)], no_notice)
    engine.is_broken = True
    gate.set()
    found = inbox.until_over(2)
    assert {found[ticket][0].error for ticket in lost} == {"no room"}
    (after,) = own.submit([job(7)], no_notice)
    assert [int(p.tokens[0]) for p in inbox.until_over(1)[after]] == [7]
  assert own.num_failed == 1


def test_closing_waits_for_what_is_open_and_takes_no_more():
  gate = threading.Event()
  with running(Counting()) as (own, inbox):
    own.call(gate.wait)
    own.submit([job(1), job(2)], no_notice)
    closing = threading.Thread(target=own.close)
    closing.start()
    while not own._is_closed:
      pass
    with pytest.raises(runner.Closed):
      own.submit([job(3)], no_notice)
    with pytest.raises(runner.Closed):
      own.call(gate.wait)
    gate.set()
    closing.join(10)
    assert len(inbox.until_over(2)) == 2
  assert not own.is_alive


def test_calls_give_results_and_errors():
  with running(Counting()) as (own, _):
    assert own.call(lambda: 3).result(10) == 3
    with pytest.raises(ZeroDivisionError):
      own.call(lambda: 1 / 0).result(10)


def test_the_thread_is_inside_its_context():
  inside = []

  @contextlib.contextmanager
  def within():
    inside.append(threading.current_thread())
    yield
    inside.append("left")

  with running(Counting(), within=within) as (own, _):
    assert own.call(threading.current_thread).result(10) is inside[0]
  assert inside[1:] == ["left"]
