"""Block-wise search over samples of the reference."""

import dataclasses

import numpy as np
import pytest
from oracles import players

from qsharp_jax import generate
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import blocks

MOST, BLOCK = 9, 4


def whole(ends):
  """Prompt and tokens of each answer so far."""
  return [[*request.prompt, *tokens] for request, tokens in ends]


def search(num_kept, num_samples=4, score=None, asked=None):
  requests = [
    generate.Request(prompt, [100 * i + j for j in range(num_samples)])
    for i, prompt in enumerate(players.prompts((5, 1, 8)))
  ]

  def complete(wanted):
    if asked is not None:
      asked.append(wanted)
    sampling = players.sampling(
      temperature=1.0, top_p=1.0, max_new_tokens=BLOCK
    )
    return generate.generate(
      players.policy(None), players.params(None), wanted, sampling
    )

  groups = blocks.generate(
    complete,
    score or (lambda ends: np.array([sum(s) for s in whole(ends)])),
    requests,
    num_kept=num_kept,
    block_length=BLOCK,
    max_new_tokens=MOST,
  )
  return requests, list(groups)


def test_only_the_best_prefix_goes_on():
  asked, scored = [], []

  def score(ends):
    scored.append(whole(ends))
    return np.array([sum(s) for s in scored[-1]])

  requests, groups = search(1, asked=asked, score=score)
  second = iter(asked[1])
  for request, group in zip(requests, groups, strict=True):
    mine = [s for s in scored[0] if s[: len(request.prompt)] == request.prompt]
    best = max(mine, key=sum)
    start = best[len(request.prompt) :]
    for completion in group:
      assert completion.tokens[: len(start)].tolist() == start
    if start[-1] not in players.EOS:
      assert next(second).prompt == best
  assert next(second, None) is None


def test_answers_are_whole_and_their_parts_fit():
  _, groups = search(2)
  for group in groups:
    assert len(group) == 4
    for c in group:
      assert len(c.tokens) == len(c.log_probs) == len(c.kl) <= MOST
      assert c.ended == (c.tokens[-1] in players.EOS)
      assert c.ended or len(c.tokens) == MOST
      assert not set(c.tokens[:-1].tolist()) & set(players.EOS)
      assert np.isnan(c.kl).all()
      assert c.num_forwards >= 1 + len(c.tokens)


def test_forwards_count_the_prefixes_that_were_read():
  read = []

  def score(ends):
    read.append(len(ends))
    return np.zeros(len(ends))

  asked = []
  _, groups = search(1, asked=asked, score=score)
  sampling = players.sampling(temperature=1.0, top_p=1.0, max_new_tokens=BLOCK)
  sampled = sum(
    c.num_forwards
    for wanted in asked
    for group in generate.generate(
      players.policy(None), players.params(None), wanted, sampling
    )
    for c in group
  )
  found = sum(4 * group[0].num_forwards for group in groups)
  assert sampled + sum(read) - 3 * len(groups) <= found <= sampled + sum(read)


def test_search_raises_the_score():
  score = lambda tokens: np.mean([t == 9 for t in tokens])
  judge = lambda ends: np.array([score(tokens[-4:]) for _, tokens in ends])
  mean = lambda groups: np.mean([score(c.tokens) for g in groups for c in g])
  assert mean(search(1, 16, judge)[1]) > mean(search(16, 16, judge)[1])


def test_kept_must_divide():
  with pytest.raises(InputError, match="num_kept is 3; expected a divisor"):
    search(3)


def test_the_last_block_may_end_where_the_context_ends():
  # 31 + 9 tokens fit the context of 40, three blocks of 4 would not.
  (prompt,) = players.prompts((players.CONFIG.max_length - MOST,))
  requests = [generate.Request(prompt, [1, 2])]
  sampling = players.sampling(temperature=1.0, top_p=1.0, max_new_tokens=BLOCK)
  policy = dataclasses.replace(players.policy(None), eos_ids=())
  (group,) = blocks.generate(
    lambda wanted: generate.generate(
      policy, players.params(None), wanted, sampling
    ),
    lambda ends: np.zeros(len(ends)),
    requests,
    num_kept=1,
    block_length=BLOCK,
    max_new_tokens=MOST,
  )
  assert [len(c.tokens) for c in group] == [MOST, MOST]
