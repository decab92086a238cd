"""What the engine answers is what offline decoding answers, whoever is there.

The oracle is `generate.generate` with one kind of guidance, one request at a
time, in another batch.
"""

import dataclasses
import math

import numpy as np
import pytest
from oracles import engines, players

from qsharp_jax.serving import engine as engine_lib
from qsharp_jax.serving import jobs


@pytest.fixture(scope="module")
def engine():
  return engines.engine()


def some_jobs(number, seed=0):
  """Jobs of all kinds, each with as many candidates: a program offline."""
  rng = np.random.default_rng(seed)
  lengths = rng.integers(1, 16, number)
  return [
    jobs.Job(
      prompt,
      int(rng.integers(2**32)),
      int(rng.integers(1, 11)),
      which=(which := int(rng.integers(len(engines.KINDS)))),
      eta=float(rng.choice([0.1, 0.3, 2.0, math.inf])),
      num_candidates=engines.CANDIDATES[which],
      temperature=float(rng.choice([0.7, 1.0])),
      top_p=float(rng.choice([0.8, 1.0])),
    )
    for prompt in players.prompts(lengths, seed)
  ]


def run(engine, wanted, cancelled=()):
  """Tickets' progress; a job comes every turn, some leave in the middle."""
  told, left = {i: [] for i in range(len(wanted))}, list(enumerate(wanted))
  for turn in range(1000):
    for ticket, job in left[: 1 + turn % 3]:
      engine.submit(ticket, job)
    del left[: 1 + turn % 3]
    for progress in engine.turn():
      told[progress.ticket].append(progress)
      if progress.ticket in cancelled and not progress.is_over:
        engine.cancel(progress.ticket)
    if engine.is_idle and not left:
      return told
  raise AssertionError("the engine does not end")


def joined(parts, name):
  return np.concatenate([getattr(part, name) for part in parts])


def test_answers_are_those_of_offline_decoding(engine):
  wanted = some_jobs(24)
  told = run(engine, wanted)
  for ticket, job in enumerate(wanted):
    answer = engines.offline(job)
    assert joined(told[ticket], "tokens").tolist() == answer.tokens.tolist()
    assert [p.is_over for p in told[ticket]].index(True) == len(
      told[ticket]
    ) - 1
    assert told[ticket][-1].has_ended == answer.ended
    np.testing.assert_allclose(
      joined(told[ticket], "log_probs"), answer.log_probs, atol=1e-4
    )
  # They are not all alike.
  assert len({tuple(joined(parts, "tokens")) for parts in told.values()}) > 12


def test_alternatives_are_the_likeliest_tokens(engine):
  """Of those that were drawn, the ones among them have their own numbers."""
  found = 0
  for parts in run(engine, some_jobs(8, seed=1)).values():
    for part in parts:
      assert (part.top.log_probs[:, 1:] <= part.top.log_probs[:, :-1]).all()
      is_drawn = part.top.tokens == part.tokens[:, None]
      drawn = np.broadcast_to(part.log_probs[:, None], is_drawn.shape)
      np.testing.assert_array_equal(
        part.top.log_probs[is_drawn], drawn[is_drawn]
      )
      found += is_drawn.sum()
      # No token that was drawn was likelier than the likeliest.
      assert (part.log_probs <= part.top.log_probs[:, 0] + 1e-6).all()
  assert found > 10


def test_jobs_that_leave_free_their_rows_and_change_nobody(engine):
  wanted = [
    dataclasses.replace(job, max_new_tokens=10) for job in some_jobs(16, seed=2)
  ]
  whole = run(engine, wanted)
  gone = set(range(0, 16, 3))
  told = run(engine, wanted, cancelled=gone)
  assert engine.num_busy == engine.num_waiting == 0
  num_cut = 0
  for ticket, parts in told.items():
    own, all_of_it = joined(parts, "tokens"), joined(whole[ticket], "tokens")
    assert own.tolist() == all_of_it[: len(own)].tolist()
    if ticket in gone:
      num_cut += len(own) < len(all_of_it)
    else:
      assert len(own) == len(all_of_it)
  assert num_cut > 2


def test_jobs_may_leave_before_they_begin(engine):
  first, second = some_jobs(2, seed=3)
  engine.submit(0, first)
  engine.submit(1, second)
  engine.cancel(0)
  told = {p.ticket for p in engine.turn()}
  assert told == {1}
  engine.cancel(1)
  engine.cancel(7)  # which nobody knows
  assert engine.turn() == [] and engine.is_idle


def test_after_warming_nothing_is_compiled(engine):
  engine.warm()
  sizes = [f._cache_size() for f in programs()]
  run(engine, some_jobs(12, seed=5))
  assert [f._cache_size() for f in programs()] == sizes


def programs():
  own = engine_lib.state_lib
  loop = engine_lib.decode_lib.decode_some
  return own.prefill, own.admit, loop, own.release
