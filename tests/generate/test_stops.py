"""Answers that a string ends: those of a search in the unstopped ones."""

import dataclasses
import itertools

import numpy as np
from oracles import pieces, players

from qsharp_jax import generate
from qsharp_jax.generate import beam, blocks, transfer

# Every token says one or two letters, so strings lie across tokens.
PIECES = [*"abcd", *map("".join, itertools.product("abcd", repeat=2)), *"efgh"]
PIECES += [""] * (players.VOCAB - len(PIECES))
TEXTS = pieces.tokenizer(PIECES)
STRINGS = ("dab", "cc", "bdbd")
STOPS = pieces.automaton(PIECES, STRINGS)


def shortened(completion):
  """The completion cut by hand where its text has one of the strings."""
  tokens = completion.tokens.tolist()
  length = pieces.shortest(TEXTS.decode, tokens, STRINGS)
  is_there = any(s in TEXTS.decode(tokens) for s in STRINGS)
  arrays = ("tokens", "log_probs", "ref_log_probs", "kl", "kl_filtered")
  cut = {name: getattr(completion, name)[:length] for name in arrays}
  return dataclasses.replace(
    completion, ended=completion.ended or is_there, **cut
  )


def stopped(policy):
  return dataclasses.replace(policy, stops=STOPS, eos_ids=(3,))


def run(policy, kind, requests, **changes):
  groups = generate.generate(
    policy, players.params(kind), requests, players.sampling(**changes)
  )
  return list(itertools.chain.from_iterable(groups))


def assert_same(got, wanted):
  assert players.tokens(got) == players.tokens(wanted)
  for a, b in zip(got, wanted, strict=True):
    assert a.ended == b.ended
    for name in ("log_probs", "ref_log_probs", "kl", "kl_filtered"):
      np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-4)


def test_as_a_search_in_the_unstopped_answers():
  """In rows that are given to whoever waits."""
  wanted = [
    dataclasses.replace(r, seeds=[r.seeds[0] + i for i in range(6)])
    for r in players.requests((5, 1, 8, 3, 6, 2))
  ]
  policy = dataclasses.replace(players.policy("q"), eos_ids=(3,))
  changes = {"batch_size": 3, "prompts_per_refill": 2}
  whole = run(policy, "q", wanted, **changes)
  found = run(stopped(policy), "q", wanted, **changes)
  assert_same(found, [shortened(c) for c in whole])
  is_cut = [
    len(a.tokens) < len(b.tokens) for a, b in zip(found, whole, strict=True)
  ]
  assert 3 < sum(is_cut) < len(is_cut) - 3
  saved = [
    b.num_forwards > a.num_forwards for a, b in zip(found, whole, strict=True)
  ]
  assert saved == is_cut  # a row that has stopped takes no more turns


def test_look_aheads_stop():
  """No sequence that is judged goes on behind a string."""
  policy = stopped(players.policy(None))
  policy = dataclasses.replace(policy, num_candidates=4)
  seen = []

  def rewards(ends):
    seen.extend(tokens for _, tokens in ends)
    return np.array([[len(tokens) / 10] for _, tokens in ends])

  answers = transfer.generate(
    policy,
    players.params(None),
    players.requests((5, 2), eta=0.5),
    players.sampling(batch_size=2),
    rewards=rewards,
    weigh=transfer.direct,
    num_rollouts=2,
  )
  found = [c.tokens.tolist() for c in itertools.chain.from_iterable(answers)]
  for tokens in [*seen, *found]:
    assert len(tokens) == pieces.shortest(TEXTS.decode, tokens, STRINGS)
  texts = [TEXTS.decode(tokens) for tokens in seen]
  assert sum(any(s in text for s in STRINGS) for text in texts) > 10


def test_beams_stop():
  policy = stopped(players.policy(None))
  beams = beam.generate(
    policy,
    players.params(None),
    players.requests((5, 2, 4)),
    players.sampling(),
    num_beams=4,
  )
  for completion in itertools.chain.from_iterable(beams):
    tokens = completion.tokens.tolist()
    assert len(tokens) == pieces.shortest(TEXTS.decode, tokens, STRINGS)


def test_a_string_may_begin_in_an_earlier_block():
  policy = stopped(players.policy(None))
  sampling = players.sampling(max_new_tokens=2)
  complete = lambda requests: generate.generate(
    policy, players.params(None), requests, sampling
  )
  requests = [
    dataclasses.replace(r, seeds=list(range(100 * i, 100 * i + 8)))
    for i, r in enumerate(players.requests())
  ]
  answers = blocks.generate(
    complete,
    lambda sequences: np.array([-len(s) for s in sequences]),
    requests,
    num_kept=4,
    block_length=2,
    max_new_tokens=6,
  )
  found = list(itertools.chain.from_iterable(answers))
  ends = 0
  for completion in found:
    tokens = completion.tokens.tolist()
    assert len(tokens) == pieces.shortest(TEXTS.decode, tokens, STRINGS)
    is_there = any(s in TEXTS.decode(tokens) for s in STRINGS)
    assert completion.ended == (is_there or tokens[-1] == 3)
    ends += is_there
  assert ends > 3
