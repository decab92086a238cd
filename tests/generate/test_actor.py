"""Another model samples, the reference measures the KL."""

import dataclasses

import numpy as np
from oracles import language_models, players

from qsharp_jax import generate, models

UNFILTERED = players.sampling(temperature=1.0, top_p=1.0)
TREES = {
  "reference": language_models.params(2),
  "actor": language_models.params(8),
}


def run(policy, params, requests=None, sampling=UNFILTERED):
  requests = requests or players.requests()
  groups = generate.generate(policy, params, requests, sampling)
  return [completion for group in groups for completion in group]


def acting(**fields):
  return generate.Policy(
    language_models.MODEL, players.EOS, actor=language_models.MODEL, **fields
  )


def test_samples_are_the_actors_and_the_kl_is_to_the_reference():
  requests = players.requests()
  found = run(acting(), TREES)
  alone = run(
    generate.Policy(language_models.MODEL, players.EOS),
    {"reference": TREES["actor"]},
  )
  assert players.tokens(found) == players.tokens(alone)
  owners = [request for request in requests for _ in request.seeds]
  for owner, completion in zip(owners, found, strict=True):
    tokens = completion.tokens
    own = language_models.log_probs(8, owner.prompt, tokens)
    reference = language_models.log_probs(2, owner.prompt, tokens)
    at = (np.arange(len(tokens)), tokens)
    np.testing.assert_allclose(completion.log_probs, own[at], atol=1e-4)
    np.testing.assert_allclose(
      completion.ref_log_probs, reference[at], atol=1e-4
    )
    kl = (np.exp(own) * (own - reference)).sum(axis=1)
    np.testing.assert_allclose(completion.kl, kl, rtol=1e-3, atol=1e-4)
    assert completion.num_forwards == 2 * (1 + len(tokens))
  assert min(completion.kl.sum() for completion in found) > 0.1


def test_guidance_tilts_the_actor():
  # Guided by what turns the actor into the reference, with every token scored.
  ratio = models.LogRatio(players.CONFIG, players.CONFIG)
  policy = acting(
    value=ratio,
    guidance=generate.Guidance("log_ratio"),
    num_candidates=players.VOCAB,
  )
  params = TREES | {
    "value": {
      "params": {
        "tuned": TREES["reference"]["params"],
        "untuned": TREES["actor"]["params"],
      }
    }
  }
  requests = players.requests(eta=1.0)
  found = run(policy, params, requests)
  plain = generate.Policy(language_models.MODEL, players.EOS)
  assert players.tokens(found) == players.tokens(run(plain, TREES))
  np.testing.assert_allclose([c.kl.sum() for c in found], 0, atol=1e-4)
  # Four models: reference, actor, tuned and untuned.
  assert found[0].num_forwards == 4 * (1 + len(found[0].tokens))


def test_strength_one_is_the_tuned_model_and_half_is_in_between():
  ratio = models.LogRatio(players.CONFIG, players.CONFIG)
  policy = generate.Policy(
    language_models.MODEL,
    players.EOS,
    ratio,
    generate.Guidance("log_ratio"),
    players.VOCAB,
  )
  value = {
    "params": {
      "tuned": TREES["actor"]["params"],
      "untuned": TREES["reference"]["params"],
    }
  }
  params = {"reference": TREES["reference"], "value": value}
  whole = run(policy, params, players.requests(eta=1.0))
  assert players.tokens(whole) == players.tokens(run(acting(), TREES))
  half = run(policy, params, players.requests(eta=2.0))
  prompt = players.requests()[0].prompt
  own, reference = (
    language_models.log_probs(seed, prompt, half[0].tokens) for seed in (8, 2)
  )
  mixed = (own + reference) / 2
  mixed -= np.log(np.exp(mixed).sum(axis=1, keepdims=True))
  at = (np.arange(len(half[0].tokens)), half[0].tokens)
  np.testing.assert_allclose(half[0].log_probs, mixed[at], atol=1e-4)


def test_truncation_leaves_candidates_alone_where_guidance_acts():
  policy = dataclasses.replace(players.policy("v"), is_truncated=True)
  params = players.params("v")
  requests = [
    dataclasses.replace(r, guided_steps=[3, 3])
    for r in players.requests(eta=2.0)
  ]
  found = run(policy, params, requests)
  loose = run(dataclasses.replace(policy, is_truncated=False), params, requests)
  outside = 0
  owners = [request for request in requests for _ in request.seeds]
  for owner, completion in zip(owners, found, strict=True):
    distribution = language_models.log_probs(2, owner.prompt, completion.tokens)
    best = np.argsort(-distribution, axis=1)[:, : players.CANDIDATES]
    inside = (best == completion.tokens[:, None]).any(axis=1)
    assert inside[:3].all()
    outside += (~inside[3:]).sum()
  assert outside  # behind the switch the whole reference samples
  assert players.tokens(found) != players.tokens(loose)


def test_truncation_without_values_leaves_nothing_out():
  plain, params = players.policy(None), players.params(None)
  policy = dataclasses.replace(plain, is_truncated=True)
  found, whole = (run(p, params, players.requests()) for p in (policy, plain))
  assert players.tokens(found) == players.tokens(whole)
  assert max(np.abs(completion.kl).max() for completion in found) < 1e-5
