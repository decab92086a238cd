"""The race: the distribution it draws from; lazy beside full scoring."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import decoders, players

from qsharp_jax import generate, models
from qsharp_jax.generate import (
  batching,
  guided,
  lazily,
  next_token,
  race,
  scoring,
)
from qsharp_jax.generate import policy as policy_lib

ATOMS = (-0.5, 0.25, 1.0)
SUCCESS = generate.Guidance("qsharp")
HOW = {
  "qsharp": SUCCESS,
  "cd": generate.Guidance("cd", "categorical", ATOMS),
  "fudge": generate.Guidance("fudge"),
  "mixture": guided.mixture((SUCCESS,) * 2, (0.5, 2.0)),
  "fudges": guided.mixture((generate.Guidance("fudge"),) * 2, (0.5, 2.0)),
}
ETAS = (0.02, 0.1, 0.5, 10.0, np.inf)
VOCAB, CANDIDATES = 12, 6


def controls(rows, top_p=1.0):
  full = lambda value, dtype: jnp.full(rows, value, dtype)
  return policy_lib.Controls(
    seeds=jnp.arange(rows, dtype=jnp.uint32),
    eta=full(1, jnp.float32),
    guided_steps=full(9, jnp.int32),
    max_new_tokens=full(9, jnp.int32),
    temperature=full(1, jnp.float32),
    top_p=jnp.broadcast_to(jnp.float32(top_p), rows),
  )


@functools.partial(jax.jit, static_argnums=0)
def begin(how, logits, eta, top_p):
  own = controls(len(logits), top_p)
  base = next_token.unguided(logits, own, top_p_of="reference").base
  candidates = scoring.most_likely(logits, CANDIDATES)
  steps = jnp.zeros(len(logits), jnp.int32)
  return race.begin(how, base, candidates, own, steps, eta)


@functools.partial(jax.jit, static_argnums=(0, 1))
def take_turn(how, m, found, values, eta):
  scored = jnp.take_along_axis(values, found.next(m)[..., None], axis=1)
  found = found.add(how.scores(scored, eta))
  other = how.other(found.scores)[:, 0]
  column, is_settled = race.lead(how, found, other)
  return found, found.known(column).tokens, is_settled


def run_race(how, m, begun, values, eta):
  """Tokens, and how many turns they took, scoring m candidates a turn."""
  num_rows, found = len(values), begun
  tokens, turns = np.full(num_rows, -1), np.zeros(num_rows, int)
  while (tokens < 0).any():
    found, drawn, is_settled = take_turn(how, m, found, values, eta)
    is_open = tokens < 0
    turns += is_open
    tokens = np.where(is_open & np.asarray(is_settled), drawn, tokens)
  return tokens, turns


def rows_of(num_rows, how, seed=0):
  rng = np.random.default_rng(seed)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  logits = 2 * draw(num_rows, VOCAB)
  values = 2 * draw(num_rows, VOCAB, how.num_logits)
  return logits, values, rng.choice(np.float32(ETAS), (num_rows, 1))


@pytest.mark.parametrize("name", HOW)
def test_any_number_of_leaves_gives_the_same_tokens(name):
  how, num = HOW[name], 4000
  logits, values, eta = rows_of(num, how)
  top_p = np.where(np.arange(num) % 2, 1.0, 0.8).astype(np.float32)
  begun = begin(how, logits, eta, top_p)
  full, once = run_race(how, CANDIDATES, begun, values, eta)
  assert (once == 1).all()
  for m in (1, 2, 4):
    lazy, turns = run_race(how, m, begun, values, eta)
    np.testing.assert_array_equal(lazy, full)
    # Some waited, and not for all; the unguided for nothing.
    assert 1 < turns.mean() < 0.8 * CANDIDATES / m + 0.7
    assert (turns[np.isinf(eta[:, 0])] == 1).all()
  assert (np.asarray(begun.needed(1))[np.isinf(eta[:, 0])] == 0).all()


@pytest.mark.parametrize("name", ["qsharp", "fudge"])
@pytest.mark.parametrize("top_p", [1.0, 0.9])
def test_two_hundred_thousand_draws_have_the_guided_distribution(name, top_p):
  how, num = HOW[name], 200_000
  logits, values, _ = rows_of(1, how, seed=5)
  eta = np.full((1, 1), 0.4, np.float32)
  candidates = scoring.most_likely(jnp.asarray(logits), CANDIDATES)
  scores = how.scores(jnp.asarray(values[0])[candidates], eta)
  before = next_token.unguided(
    jnp.asarray(logits), controls(1, top_p), top_p_of="reference"
  )
  exact = next_token.tilt(before, candidates, scores, how.other(scores)[:, 0])
  expected = num * np.exp(np.float64(exact.sampled[0]))
  many = lambda x: np.broadcast_to(x[0], (num, *x.shape[1:]))
  begun = begin(how, many(logits), many(eta), np.float32(top_p))
  tokens, _ = run_race(how, 2, begun, many(values), many(eta))
  counts = np.bincount(tokens, minlength=VOCAB)
  assert not counts[expected == 0].any()
  counts, expected = counts[expected > 0], expected[expected > 0]
  # Guidance has moved the distribution, and some tokens are no candidates.
  assert exact.kl > 0.05 and (top_p < 1 or len(counts) == VOCAB)
  chi_square = ((counts - expected) ** 2 / expected).sum()
  freedom = len(counts) - 1
  assert chi_square < freedom + 4 * np.sqrt(2 * freedom)


def test_noise_is_that_of_independent_gumbel_numbers():
  # Without weights the winner is the token of unguided sampling, and the
  # runner-up among all is drawn by what the winner leaves.
  num = 50_000
  # As many tokens as candidates.
  one = np.float32([1.0, 0.5, 0.2, 0.0, -0.5, -1.0])
  logits = np.broadcast_to(one, (num, CANDIDATES))
  found = begin(SUCCESS, logits, np.ones((num, 1), np.float32), 1.0)
  first, second = np.asarray(found.candidates)[:, :2].T
  probs = np.exp(np.float64(one)) / np.exp(np.float64(one)).sum()
  pairs = np.zeros((CANDIDATES, CANDIDATES))
  np.add.at(pairs, (first, second), 1 / num)
  wanted = probs[:, None] * probs[None] / (1 - probs[:, None])
  np.fill_diagonal(wanted, 0)
  np.testing.assert_allclose(pairs, wanted, atol=4 * np.sqrt(0.25 / num))
  luck = np.asarray(found.luck, np.float64)[:, 1:]
  assert (np.diff(luck, axis=1) <= 0).all()
  # A standard Gumbel number has mean 0.5772 and variance pi^2 / 6.
  np.testing.assert_allclose(luck[:, 0].mean(), 0.5772, atol=0.03)
  np.testing.assert_allclose(luck[:, 0].var(), np.pi**2 / 6, atol=0.06)


CONFIG = dataclasses.replace(players.CONFIG, num_layers=1)
HEAD = models.HeadConfig("v", 1)
PREDICTING = models.HeadConfig("v", 1, predicting_layers=1)


def policy(name, num_scored, **changes):
  how = HOW[name]
  value = models.ValueModel(CONFIG, models.HeadConfig("v", how.num_logits))
  if name == "mixture":
    value = models.Several(((CONFIG, HEAD), (CONFIG, PREDICTING)))
  return dataclasses.replace(
    players.policy("v"),
    reference=models.LanguageModel(CONFIG),
    value=value,
    guidance=how,
    num_candidates=CANDIDATES,
    num_scored=num_scored,
    top_p_of="reference",
    **changes,
  )


@functools.cache
def params(name):
  def louder(path, x):
    return (4 if path[-1].key in ("unembedding", "head") else 1) * x

  drawn = lambda model, seed: jax.tree_util.tree_map_with_path(
    louder, jax.device_get(decoders.params(model, seed))
  )
  value = drawn(policy("qsharp", 0).value, 3)
  if name == "mixture":
    other = drawn(models.ValueModel(CONFIG, PREDICTING), 4)
    members = {"members_0": value["params"], "members_1": other["params"]}
    value = {"params": members}
  return {"reference": drawn(policy(name, 0).reference, 2), "value": value}


def requests():
  """More than there are rows, of mixed lengths, etas and switches."""
  prompts = players.prompts((5, 1, 8, 3, 6, 2, 7, 4, 3, 5))
  return [
    generate.Request(
      prompt, [10 + i, 50 + i], ETAS[i % len(ETAS)], guided_steps=[99, 6]
    )
    for i, prompt in enumerate(prompts)
  ]


def sample(name, num_scored, **changes):
  changes = {"max_new_tokens": 14, "batch_size": 4, "top_p": 1.0} | changes
  groups = generate.generate(
    policy(name, num_scored),
    params(name),
    requests(),
    players.sampling(**changes),
  )
  return [completion for group in groups for completion in group]


@pytest.mark.parametrize(
  ("name", "num_scored", "one_may_wait_of"),
  [("qsharp", 1, 1), ("mixture", 1, 9), ("mixture", 2, 3), ("fudge", 2, 9)],
)
def test_lazy_tokens_are_those_of_scoring_all(
  name, num_scored, one_may_wait_of, monkeypatch
):
  monkeypatch.setattr(lazily, "_ONE_MAY_WAIT_OF", one_may_wait_of)
  # The caches grow once, and are packed where they may not grow.
  monkeypatch.setattr(batching, "_FIRST_ROOM", 10)
  monkeypatch.setattr(policy_lib.Policy, "num_spare", lambda *_: 1)
  for temperature, top_p in ((1.0, 1.0), (0.6, 0.85)):
    how = {"temperature": temperature, "top_p": top_p}
    full, lazy = sample(name, 0, **how), sample(name, num_scored, **how)
    assert players.tokens(lazy) == players.tokens(full)
    turns, steps = (sum(c.num_forwards for c in x) for x in (lazy, full))
    assert turns > steps if one_may_wait_of < 8 else turns == steps
    assert sum(c.num_scored for c in lazy) < sum(c.num_scored for c in full)
    join = lambda group, field: np.concatenate(
      [getattr(c, field) for c in group]
    )
    known = np.isfinite(join(lazy, "kl"))
    assert known.any() and not known.all()
    np.testing.assert_allclose(join(full, "kl")[known], 0, atol=1e-6)
    np.testing.assert_allclose(
      join(lazy, "ref_log_probs"), join(full, "ref_log_probs"), atol=1e-4
    )
    np.testing.assert_array_equal(np.isfinite(join(lazy, "log_probs")), known)
    np.testing.assert_allclose(
      join(lazy, "log_probs")[known], join(full, "log_probs")[known], atol=1e-4
    )
