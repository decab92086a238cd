"""Cached guided decoding against full forward passes, and its limits."""

import dataclasses
import math

import numpy as np
import pytest
from oracles import guided_decoding as oracle
from oracles import players

HEADS = [("v", 1), ("v", 3), ("q", 1), ("q", 3)]
NEVER = 10**6


def teacher_forced(kind, num_atoms, requests, completions):
  """The oracle's rows for each completion, along the completion's tokens."""
  policy = players.policy(kind, num_atoms)
  params = players.params(kind, num_atoms)
  owners = [request for request in requests for _ in request.seeds]
  sequences = [
    [*owner.prompt, *completion.tokens.tolist()]
    for owner, completion in zip(owners, completions, strict=True)
  ]
  logits = oracle.reference_logits(
    policy.reference, params["reference"], sequences
  )
  prefixes, best = [], []
  for row, owner, sequence in zip(logits, owners, sequences, strict=True):
    for n in range(len(owner.prompt), len(sequence)):
      prefixes.append(sequence[:n])
      best.append(np.argsort(-row[n - 1])[: players.CANDIDATES].tolist())
  leaves = [
    [*prefix, token]
    for prefix, found in zip(prefixes, best, strict=True)
    for token in found
  ]
  values = iter(
    oracle.value_logits(policy.value, params["value"], leaves, logits.shape[1])
  )
  scored = iter([{token: next(values) for token in found} for found in best])
  for i, (owner, completion) in enumerate(
    zip(owners, completions, strict=True)
  ):
    sample, first = i % len(owner.seeds), len(owner.prompt) - 1
    num = len(completion.tokens)
    yield oracle.completion(
      logits[i, first : first + num],
      [next(scored) for _ in range(num)],
      seed=owner.seeds[sample],
      eta=owner.eta,
      switch=(owner.guided_steps or [NEVER] * 9)[sample],
      atoms=players.ATOMS,
      how=players.SAMPLING,
    )


@pytest.mark.parametrize("kind, num_atoms", HEADS)
def test_equals_full_forward_passes(kind, num_atoms):
  # Mixed prompt lengths, etas and switches in one batch.
  requests = players.requests((5, 1, 8, 3, 7))
  etas = [0.1, 0.5, math.inf, 0.2, 2.0]
  switches = [None, [3, 5], None, [0, 6], None]
  requests = [
    dataclasses.replace(request, eta=eta, guided_steps=steps)
    for request, eta, steps in zip(requests, etas, switches, strict=True)
  ]
  completions = players.run(kind, requests, num_atoms)
  columns = ("tokens", "log_probs", "ref_log_probs", "kl", "kl_filtered")
  wanted = list(teacher_forced(kind, num_atoms, requests, completions))
  for rows, completion in zip(wanted, completions, strict=True):
    got = np.stack([getattr(completion, name) for name in columns], axis=1)
    np.testing.assert_allclose(got, rows, atol=2e-4, rtol=2e-4)
  # The comparison is of something: guidance moved probabilities, top-p cut.
  kl, filtered = (
    np.concatenate([np.array(w)[:, i] for w in wanted]) for i in (3, 4)
  )
  assert kl.max() > 0.5 and np.abs(filtered - kl).max() > 0.1


def test_guidance_changes_tokens():
  requests = players.requests()
  guided = players.tokens(players.run("v", requests))
  assert guided != players.tokens(players.run(None, requests))
  assert guided != players.tokens(players.run("q", requests))


@pytest.mark.parametrize("eta", [math.inf, 1e9])
@pytest.mark.parametrize("kind, num_atoms", HEADS)
def test_without_weight_it_is_the_reference_token_for_token(
  kind, num_atoms, eta
):
  requests = players.requests(eta=eta)
  plain = players.run(None, requests)
  for got, wanted in zip(
    players.run(kind, requests, num_atoms), plain, strict=True
  ):
    np.testing.assert_array_equal(got.tokens, wanted.tokens)
    np.testing.assert_allclose(got.log_probs, wanted.log_probs, atol=1e-5)
    np.testing.assert_allclose(got.kl, 0, atol=1e-6)


def switched(kind, eta, steps):
  requests = players.requests((5, 1, 8, 3, 6, 2, 4, 7), eta=eta)
  if steps is not None:
    requests = [
      dataclasses.replace(request, guided_steps=[steps, steps])
      for request in requests
    ]
  return players.tokens(players.run(kind, requests))


def test_before_the_switch_the_guided_run_after_it_another_stream():
  whole, cut = switched("v", 0.2, None), switched("v", 0.2, 4)
  assert [row[:4] for row in cut] == [row[:4] for row in whole]
  # The same distribution on both sides: only another stream changes tokens.
  whole, cut = switched(None, math.inf, None), switched(None, math.inf, 4)
  assert [row[:4] for row in cut] == [row[:4] for row in whole]
  longer = [(a, b) for a, b in zip(cut, whole, strict=True) if len(b) > 4]
  assert sum(a != b for a, b in longer) > len(longer) / 2


def test_switch_at_the_start_is_the_reference():
  assert switched("v", 0.2, 0) == switched(None, math.inf, 0)


def test_a_request_for_no_tokens_gets_none():
  none, some = players.requests((5, 8))
  none = dataclasses.replace(none, max_new_tokens=0)
  found = players.tokens(players.run(None, [none, some]))
  assert found[:2] == [[], []]
  assert found[2:] == players.tokens(players.run(None, [some]))
