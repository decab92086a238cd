"""Transfer Q*: looking ahead from every candidate."""

import numpy as np
import pytest
from oracles import language_models, players

from qsharp_jax import generate
from qsharp_jax.generate import transfer
from qsharp_jax.ops import guidance

PARAMS = {
  "reference": language_models.params(2),
  "actor": language_models.params(8),
}
POLICY = generate.Policy(
  language_models.MODEL,
  players.EOS,
  num_candidates=players.CANDIDATES,
  actor=language_models.MODEL,
)
SAMPLING = players.sampling(temperature=1.0, top_p=1.0, max_new_tokens=6)


def run(rewards, eta, *, sampling=SAMPLING, num_rollouts=2, horizon=None):
  groups = transfer.generate(
    POLICY,
    PARAMS,
    players.requests(eta=eta),
    sampling,
    rewards=rewards,
    weigh=transfer.direct,
    num_rollouts=num_rollouts,
    horizon=horizon,
  )
  return [completion for group in groups for completion in group]


def owners():
  return [r for r in players.requests() for _ in r.seeds]


def is_odd(sequences):
  """Pays odd first tokens, whatever follows."""
  return np.array([[tokens[0] % 2] for _, tokens in sequences], np.float32)


def test_first_token_follows_the_tilted_baseline():
  eta = 0.5
  found = run(is_odd, eta)
  for owner, completion in zip(owners(), found, strict=True):
    distribution = language_models.log_probs(8, owner.prompt, [0])[0]
    best = np.argsort(-distribution)[: players.CANDIDATES]
    tilted = distribution[best] + (best % 2) / eta
    tilted -= np.log(np.exp(tilted).sum())
    place = best.tolist().index(completion.tokens[0])
    np.testing.assert_allclose(
      completion.log_probs[0], tilted[place], atol=1e-4
    )
    reference = language_models.log_probs(2, owner.prompt, [0])[0][best]
    kl = (np.exp(tilted) * (tilted - reference)).sum()
    np.testing.assert_allclose(completion.kl[0], kl, rtol=1e-3)


def test_without_guidance_the_baseline_samples():
  found = run(is_odd, float("inf"))
  groups = generate.generate(POLICY, PARAMS, players.requests(), SAMPLING)
  alone = [completion for group in groups for completion in group]
  assert players.tokens(found) == players.tokens(alone)


def test_rollouts_are_the_baselines_from_every_candidate():
  seen = []

  def watch(sequences):
    seen.append(sequences)
    return is_odd(sequences)

  frozen = players.sampling(temperature=0.0, top_p=1.0, max_new_tokens=6)
  run(watch, 0.5, sampling=frozen, num_rollouts=3)
  first = seen[0]
  assert len(first) == len(owners()) * players.CANDIDATES * 3
  for i, (request, tokens) in enumerate(first):
    owner = owners()[i // (3 * players.CANDIDATES)]
    assert request.prompt == owner.prompt
    distribution = language_models.log_probs(8, owner.prompt, tokens)
    best = np.argsort(-distribution[0])[: players.CANDIDATES]
    assert tokens[0] == best[i // 3 % players.CANDIDATES]
    # At temperature 0 the baseline goes on with its favourite, to the end.
    assert tokens[1:] == distribution[1:].argmax(axis=1).tolist()
    assert len(tokens) == 6 or tokens[-1] in players.EOS
    assert not set(tokens[:-1]) & set(players.EOS)


def test_roll_outs_of_no_tokens_read_prefixes():
  seen = []

  def watch(sequences):
    seen.append(sequences)
    return is_odd(sequences)

  frozen = players.sampling(temperature=0.0, top_p=1.0, max_new_tokens=6)
  found = run(watch, 0.5, sampling=frozen, num_rollouts=1, horizon=0)
  for step, sequences in enumerate(seen):
    assert {len(tokens) for _, tokens in sequences} == {step + 1}
  assert len(seen[0]) == len(owners()) * players.CANDIDATES
  assert len(seen) == max(len(c.tokens) for c in found)
  # Reference and actor read each token once, the reward every candidate's
  # prefix, and no roll-out is paid for.
  for completion in found:
    length = len(completion.tokens)
    read = players.CANDIDATES * length
    assert completion.num_forwards == 2 * (1 + length) + read


def test_a_reward_at_the_end_is_reached_and_passes_are_counted():
  wanted = {2, 6}
  pays = lambda sequences: np.array(
    [[float(not wanted.isdisjoint(tokens))] for _, tokens in sequences]
  )
  plain = run(pays, float("inf"))
  guided = run(pays, 0.02, num_rollouts=4)
  share = lambda found: np.mean(
    [not wanted.isdisjoint(c.tokens.tolist()) for c in found]
  )
  assert share(guided) >= share(plain) + 0.2
  for completion in guided:
    own = 2 * (1 + len(completion.tokens))
    assert completion.num_forwards >= own + 4 * players.CANDIDATES


def test_a_second_reward_is_one_more_reading_of_each_roll_out():
  found = run(is_odd, 0.5)
  twice = run(lambda ends: np.repeat(is_odd(ends), 2, axis=1), 0.5)
  assert players.tokens(twice) == players.tokens(found)
  for one, two in zip(found, twice, strict=True):
    readings = 2 * players.CANDIDATES * len(one.tokens)
    assert two.num_forwards == one.num_forwards + readings


def test_indirect_weights_prefer_rollouts_that_gain():
  rewards = np.array([[[1.0, 0.0], [0.5, 0.5]]], np.float32)
  baseline = np.array([[[0.0, 1.0], [0.5, 0.5]]], np.float32)
  found = guidance.transfer_indirect(rewards, baseline, eta=0.5, beta=1.0)
  share = np.exp(1) / (np.exp(1) + np.exp(-1))
  np.testing.assert_allclose(found, [[2 * share, 1.0]], rtol=1e-6)
  direct = guidance.transfer_direct(rewards, eta=0.5)
  same = guidance.transfer_indirect(rewards, rewards, eta=0.5, beta=1.0)
  np.testing.assert_allclose(same, direct, rtol=1e-6)


@pytest.mark.parametrize("batch_size", [3, 8])
def test_batches_do_not_change_samples(batch_size):
  sampling = players.sampling(
    temperature=1.0,
    top_p=1.0,
    max_new_tokens=6,
    batch_size=batch_size,
    prompts_per_refill=1,
  )
  found = run(is_odd, 0.5, sampling=sampling)
  assert players.tokens(found) == players.tokens(run(is_odd, 0.5))
