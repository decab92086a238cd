"""Answers that are followed, beside those that were drawn."""

import numpy as np
import pytest
from oracles import guided_decoding as oracle
from oracles import players

from qsharp_jax.generate import following


@pytest.fixture(scope="module", params=[("v", 1), ("q", 3)])
def both(request):
  """Completions that the decode loop drew, and what following them says."""
  kind, num_atoms = request.param
  requests = players.requests((5, 1, 8))
  drawn = players.run(kind, requests, num_atoms)
  policy, params = (
    players.policy(kind, num_atoms),
    players.params(*request.param),
  )
  owners = [own for own in requests for _ in own.seeds]
  found = following.follow(
    policy,
    params,
    [players.generate.Request(own.prompt, [0], own.eta) for own in owners],
    [completion.tokens for completion in drawn],
    players.sampling(prompts_per_refill=4),
  )
  return policy, params, owners, drawn, list(found)


def test_probabilities_are_those_that_were_drawn_from(both):
  *_, drawn, followed = both
  assert len(followed) == len(drawn) == 6
  for completion, own in zip(drawn, followed, strict=True):
    assert own.tokens[:, 0].tolist() == completion.tokens.tolist()
    np.testing.assert_allclose(
      own.guided[:, 0], completion.log_probs, atol=1e-5
    )
    np.testing.assert_allclose(
      own.reference[:, 0], completion.ref_log_probs, atol=1e-5
    )


def test_candidates_and_their_values_are_those_of_plain_forward_passes(both):
  policy, params, owners, drawn, followed = both
  sequences = [
    [*own.prompt, *completion.tokens.tolist()]
    for own, completion in zip(owners, drawn, strict=True)
  ]
  logits = oracle.reference_logits(
    policy.reference, params["reference"], sequences
  )
  leaves, values = [], []
  for row, own, sequence, found in zip(
    logits, owners, sequences, followed, strict=True
  ):
    first = len(own.prompt)
    for t, tokens in enumerate(found.tokens):
      best = np.argsort(-row[first + t - 1])[: players.CANDIDATES]
      assert tokens[1:].tolist() == best.tolist()
      leaves += [[*sequence[: first + t], token] for token in tokens.tolist()]
      values += list(found.values[t])
  wanted = oracle.value_logits(
    policy.value, params["value"], leaves, logits.shape[1]
  )
  np.testing.assert_allclose(values, wanted, atol=2e-4, rtol=2e-4)
