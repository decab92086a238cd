"""Requests in batches: what is shared, what is padded, what is refused."""

import dataclasses
import math

import numpy as np
import pytest
from oracles import players

from qsharp_jax import generate
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import decode
from qsharp_jax.generate import requests as requests_lib
from qsharp_jax.generate import state as state_lib


def assert_same(got, wanted):
  """Equal tokens; numbers equal up to the order of sums."""
  assert players.tokens(got) == players.tokens(wanted)
  for a, b in zip(got, wanted, strict=True):
    assert a.ended == b.ended
    for name in ("log_probs", "ref_log_probs", "kl", "kl_filtered"):
      np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-4)


@pytest.fixture(scope="module", params=["v", "q"])
def kind(request):
  return request.param


@pytest.fixture(scope="module")
def together(kind):
  """Six requests, in one batch with two rows of padding."""
  wanted = mixed()
  return players.run(kind, wanted)


def mixed():
  etas = [0.1, 0.5, math.inf, 0.2, 2.0, 0.1]
  return [
    dataclasses.replace(request, eta=eta)
    for request, eta in zip(
      players.requests((5, 1, 8, 3, 6, 2)), etas, strict=True
    )
  ]


def test_alone_equals_in_a_batch_and_etas_do_not_mix(kind, together):
  for i, request in enumerate(mixed()):
    assert_same(players.run(kind, [request]), together[2 * i : 2 * i + 2])


def test_order_does_not_matter(kind, together):
  backwards = players.run(kind, mixed()[::-1])
  pairs = [together[i : i + 2] for i in range(0, len(together), 2)]
  assert_same(backwards, [row for pair in pairs[::-1] for row in pair])


def test_full_batches_equal_padded_ones(kind, together):
  others = players.requests((7, 7), eta=0.3)
  full = players.run(kind, [*mixed(), *others])
  assert_same(full[: len(together)], together)


def test_several_batches_in_order(kind, together):
  assert_same(players.run(kind, [*mixed() * 2])[12:], together)


def test_sizes_of_batch_and_bucket_do_not_matter():
  requests = mixed()
  wanted = players.run("v", requests)
  assert_same(
    players.run("v", requests, batch_size=3, prompt_bucket=12), wanted
  )


@pytest.mark.parametrize("per_refill", [1, 2, 3])
def test_rows_that_are_taken_over_do_not_matter(kind, per_refill):
  # Every third token ends a row, so rows end at many different steps.
  reader = dataclasses.replace(
    players.policy(kind), eos_ids=tuple(range(0, players.VOCAB, 3))
  )
  wanted = players.requests((7, 2, 5, 4, 1, 8, 3, 6, 2, 5), eta=0.3)
  run = lambda **sizes: [
    completion
    for group in generate.generate(
      reader, players.params(kind), wanted, players.sampling(**sizes)
    )
    for completion in group
  ]
  # 10 requests of 2 samples through 3 places for requests.
  refilled = run(batch_size=3, prompts_per_refill=per_refill)
  assert len({len(c.tokens) for c in refilled}) > 3
  assert_same(refilled, run(batch_size=16))


def test_a_request_may_want_fewer_tokens():
  whole = players.run("v", players.requests((5, 8)))
  few = [
    dataclasses.replace(request, max_new_tokens=limit)
    for request, limit in zip(players.requests((5, 8)), (2, 99), strict=True)
  ]
  got = players.tokens(players.run("v", few))
  wanted = players.tokens(whole)
  assert got == [wanted[0][:2], wanted[1][:2], *wanted[2:]]


def test_samples_share_a_prompt_but_no_luck():
  prompt = players.prompts([5])[0]
  seeds = list(range(16))
  many = [
    generate.Request(prompt, seeds[i : i + 2], 0.3) for i in range(0, 16, 2)
  ]
  apart = players.run("v", many)
  # One request with all samples: one prompt is read instead of eight.
  (shared,) = generate.generate(
    players.policy("v"),
    players.params("v"),
    [generate.Request(prompt, seeds, 0.3)],
    players.sampling(batch_size=1),
  )
  assert_same(shared, apart)
  assert len(set(map(tuple, players.tokens(shared)))) > 4


@pytest.mark.parametrize("num_scored", [0, 2])
def test_one_program_for_all_numbers(num_scored):
  policy = dataclasses.replace(
    players.policy("v"), top_p_of="reference", num_scored=num_scored
  )

  def run(requests, **changes):
    list(
      generate.generate(
        policy, players.params("v"), requests, players.sampling(**changes)
      )
    )

  run(players.requests())
  sizes = decode.decode._cache_size(), state_lib.prefill._cache_size()
  for i, (eta, temperature, top_p) in enumerate(
    [(0.01, 1.3, 0.5), (math.inf, 0.0, 1.0), (3.0, 0.7, 0.9)]
  ):
    changed = [
      dataclasses.replace(r, eta=eta, seeds=[7 + i, 8], guided_steps=[i, 3])
      for r in players.requests((2, 8, 4)[: i + 1])
    ]
    run(changed, temperature=temperature, top_p=top_p)
  assert (decode.decode._cache_size(), state_lib.prefill._cache_size()) == sizes


def test_completions_own_their_arrays():
  first = players.run("v", players.requests())[0]
  assert first.tokens.base is None and first.tokens.dtype == np.int32
  lengths = {len(getattr(first, f)) for f in ("tokens", "log_probs", "kl")}
  assert lengths == {len(first.tokens)}
  assert type(first.ended) is bool


def test_no_requests_no_completions():
  assert players.run("v", []) == []


def test_prompt_may_fill_the_context_and_no_more():
  room = players.CONFIG.max_length - players.SAMPLING.max_new_tokens
  policy = players.policy("v")
  check = lambda lengths, eta=0.1: requests_lib.check(
    policy, players.requests(lengths, eta=eta), players.SAMPLING
  )
  check([room, 1])
  with pytest.raises(InputError, match=f"request 1 has {room + 1} tokens") as e:
    check([3, room + 1])
  assert "\n" not in str(e.value) and f"1 to {room}" in str(e.value)
  with pytest.raises(InputError, match="request 0 has 0 tokens"):
    check([0])
  with pytest.raises(InputError, match="prompts_per_refill is 9"):
    players.run("v", players.requests(), prompts_per_refill=9)
  for eta in (0.0, -1.0, math.nan):
    with pytest.raises(InputError, match="eta of request 0"):
      check([3], eta)


def test_context_is_the_shorter_of_both_models():
  policy = players.policy("v")
  short = dataclasses.replace(players.CONFIG, max_length=15)
  value = dataclasses.replace(policy.value, config=short)
  policy = dataclasses.replace(policy, value=value)
  with pytest.raises(InputError, match="context of 15"):
    next(
      generate.generate(
        policy, players.params("v"), players.requests([6]), players.SAMPLING
      )
    )
