"""Samples of tiny models: switched, graded, stored, resumed."""

import dataclasses
import types

import numpy as np
import pytest
from oracles import players
from oracles import rollouts as make

from qsharp_jax import generate, rewards, rollout
from qsharp_jax.core import seeds as seeds_lib
from qsharp_jax.rollout import collect, store

# More than one batch of questions, the last one not full.
PROBLEMS = [
  rollout.Problem(f"q{i}", prompt, str(i), "train" if i else "validation")
  for i, prompt in enumerate(players.prompts([5, 1, 8, 3, 6, 2, 4, 7, 5, 2]))
]
GUIDED = rollout.Plan(num_samples=2, seed=5, eta=0.2)
UNGUIDED = rollout.Plan(num_samples=2, seed=5)


def grade(texts, answers, split, *, prompts):
  """Pays long texts, refuses those that begin with an odd number."""
  assert len(texts) == len(answers) == len(prompts)
  assert split in ("train", "validation")
  return [
    rewards.graders.failed("odd\nindeed", "x")
    if int(text.split()[0]) % 2
    else rewards.Grade(len(text) > 20, answer, float(len(text) > 20))
    for text, answer in zip(texts, answers, strict=True)
  ]


def sampler(kind="v", sampling=players.SAMPLING):
  return rollout.Sampler(
    complete=lambda requests: generate.generate(
      players.policy(kind), players.params(kind), requests, sampling
    ),
    batch_size=sampling.batch_size,
    decode=lambda ids: " ".join(map(str, ids)),
    grade=grade,
  )


def content(rollouts):
  """Everything but the clock."""
  return [make.plain(r) | {"seconds": 0.0} for r in rollouts]


def comparable(rollouts):
  """The same rows, their tokens as lists."""
  return [types.SimpleNamespace(**make.plain(row)) for row in rollouts]


def samples(sampler, problems, plan):
  (batch,) = collect.answer(sampler, [problems], plan)
  return comparable(collect.graded(sampler, plan, batch))


@pytest.fixture(scope="module")
def guided():
  return samples(sampler(), PROBLEMS, GUIDED)


@pytest.fixture(scope="module")
def response():
  plan = dataclasses.replace(GUIDED, rule="response")
  return samples(sampler(), PROBLEMS, plan)


def test_samples_stand_side_by_side(guided):
  owners = [(r.question_id, r.sample) for r in guided]
  assert owners == [(p.id, i) for p in PROBLEMS for i in (0, 1)]
  for r in guided:
    problem = PROBLEMS[int(r.question_id[1:])]
    assert r.prompt == problem.prompt and r.answer == problem.answer
    assert (r.split, r.value) == (problem.split, None)
    assert r.seed == seeds_lib.stable_seed(5, r.question_id, r.sample)
    assert r.text == " ".join(map(str, r.tokens))
    assert (r.eta, r.first_label) == (0.2, 0)
    assert r.ended == (r.tokens[-1] in players.EOS) and r.seconds > 0
    assert r.kl > 0.01 and r.kl_filtered > 0.01
    # Two models read the prompt, and then every token.
    assert r.forwards == 2 * (1 + len(r.tokens))
  assert len({tuple(r.tokens) for r in guided}) > 15


def test_requests_carry_the_id_of_their_question():
  (batch,) = collect.answer(sampler(), [PROBLEMS[:3]], GUIDED)
  assert [a.request.id for a in batch.answers] == ["q0", "q1", "q2"]


def test_completions_are_those_of_generate(guided):
  requests = [
    generate.Request(
      p.prompt, [seeds_lib.stable_seed(5, p.id, i) for i in (0, 1)], 0.2
    )
    for p in PROBLEMS
  ]
  completions = players.run("v", requests)
  assert [r.tokens for r in guided] == players.tokens(completions)
  np.testing.assert_allclose(
    [r.kl for r in guided], [c.kl.sum() for c in completions], rtol=1e-6
  )


def test_grades_are_kept_and_errors_are_marked(guided):
  wrong = [r for r in guided if r.error]
  assert {r.error for r in wrong} == {"odd indeed"}
  assert all(
    (r.label, r.correct, r.extracted) == (0, False, "x") for r in wrong
  )
  fine = [r for r in guided if not r.error]
  assert {r.label for r in fine} == {0.0, 1.0}
  for r in fine:
    assert (r.correct, r.label) == (len(r.text) > 20, float(len(r.text) > 20))
    assert r.extracted == r.question_id[1:] and r.tokens[0] % 2 == 0


def test_without_a_value_model_it_is_the_reference():
  rollouts = samples(sampler(None), PROBLEMS[:3], UNGUIDED)
  assert {r.eta for r in rollouts} == {None}
  np.testing.assert_allclose([r.kl for r in rollouts], 0, atol=1e-5)
  assert max(r.kl_filtered for r in rollouts) > 0.01


def test_response_rule_switches_inside_each_guided_response(guided, response):
  changed = 0
  for whole, cut in zip(guided, response, strict=True):
    switch = cut.first_label + 1  # the cut token is kept
    assert 1 <= switch <= len(whole.tokens)
    assert cut.tokens[:switch] == whole.tokens[:switch]
    changed += cut.tokens != whole.tokens
    if switch == len(whole.tokens):
      assert cut.tokens == whole.tokens
    assert cut.text == " ".join(map(str, cut.tokens))
  assert changed > len(guided) / 3
  assert len({r.first_label for r in response}) > 4


def test_response_rule_ends_with_the_reference(response):
  requests = [
    generate.Request(
      problem.prompt,
      [response[2 * i].seed, response[2 * i + 1].seed],
      0.2,
      [response[2 * i + j].first_label + 1 for j in (0, 1)],
    )
    for i, problem in enumerate(PROBLEMS)
  ]
  completions = players.run("v", requests)
  assert [r.tokens for r in response] == players.tokens(completions)
  for r, completion in zip(response, completions, strict=True):
    np.testing.assert_allclose(completion.kl[r.first_label + 1 :], 0, atol=1e-6)


def test_algorithm1_rule_labels_the_first_reference_token(guided):
  plan = dataclasses.replace(GUIDED, rule="algorithm1", horizon=4)
  rollouts = samples(sampler(), PROBLEMS, plan)
  for whole, cut in zip(guided, rollouts, strict=True):
    assert 0 <= cut.first_label < 4
    assert cut.tokens[: cut.first_label] == whole.tokens[: cut.first_label]
  assert {r.first_label for r in rollouts} == {0, 1, 2, 3}
  changed = [
    a.tokens != b.tokens for a, b in zip(guided, rollouts, strict=True)
  ]
  assert sum(changed) > len(guided) / 2


def test_batches_go_through_the_loop_as_one(response):
  plan = dataclasses.replace(GUIDED, rule="response")
  few = sampler(sampling=players.sampling(batch_size=3))
  batches = [PROBLEMS[:4], PROBLEMS[4:5], PROBLEMS[5:]]
  found = [
    comparable(collect.graded(few, plan, b))
    for b in collect.answer(few, batches, plan)
  ]
  assert [len(batch) for batch in found] == [8, 2, 10]
  exact = lambda rollouts: [(r.question_id, r.tokens) for r in rollouts]
  assert exact(r for batch in found for r in batch) == exact(response)


def test_a_sample_does_not_depend_on_its_neighbours(response):
  plan = dataclasses.replace(GUIDED, rule="response")
  last = samples(sampler(), PROBLEMS[-2:], plan)
  exact = lambda rollouts: [(r.tokens, r.first_label) for r in rollouts]
  assert exact(last) == exact(response[-4:])


def test_collecting_resumes_where_it_stopped(tmp_path):
  plan = dataclasses.replace(GUIDED, rule="response")
  run = lambda: list(collect.collect(sampler(), PROBLEMS, plan, tmp_path))
  assert run() == [8, 10]
  first = content(store.read(tmp_path))
  assert len(first) == 20
  kept = store.shard_path(tmp_path, 1).read_bytes()
  store.shard_path(tmp_path, 0).unlink()
  assert run() == [8, 10]
  assert content(store.read(tmp_path)) == first
  # The other shard was not sampled again: not even its clock changed.
  assert store.shard_path(tmp_path, 1).read_bytes() == kept


@pytest.mark.parametrize("how", ["halved", "one bit"])
def test_a_damaged_shard_is_sampled_again(tmp_path, how, caplog):
  list(collect.collect(sampler(), PROBLEMS[:3], GUIDED, tmp_path))
  first = content(store.read(tmp_path))
  shard = store.shard_path(tmp_path, 0)
  whole = shard.read_bytes()
  damaged = {
    "halved": whole[: len(whole) // 2],
    # One bit of the numbers, which leaves the table's form as it was.
    "one bit": whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
  }[how]
  shard.write_bytes(damaged)
  list(collect.collect(sampler(), PROBLEMS[:3], GUIDED, tmp_path))
  assert content(store.read(tmp_path)) == first
  assert f"{shard} is damaged" in caplog.text
  assert shard.with_name(f"{shard.name}.damaged").read_bytes() == damaged


def test_another_batch_size_completes_a_store(tmp_path):
  list(collect.collect(sampler(), PROBLEMS, GUIDED, tmp_path))
  first = content(store.read(tmp_path))
  store.shard_path(tmp_path, 1).unlink()
  other = sampler(sampling=players.sampling(batch_size=3))
  whole = lambda: collect.is_complete(tmp_path, len(PROBLEMS), batch_size=3)
  assert not whole()
  assert list(collect.collect(other, PROBLEMS, GUIDED, tmp_path)) == [8, 10]
  assert whole()
  found = content(store.read(tmp_path))
  assert [r["tokens"] for r in found] == [r["tokens"] for r in first]
  # Values that are put beside the rollouts leave the sizes as they are.
  store.with_values(tmp_path, lambda found: np.zeros(len(found)))
  assert whole()


def test_collecting_can_be_interrupted(tmp_path):
  counts = collect.collect(sampler(), PROBLEMS, GUIDED, tmp_path)
  assert next(counts) == 8
  counts.close()
  assert len(list(store.read(tmp_path))) == 16


def test_a_finished_store_needs_no_sampler(tmp_path):
  list(collect.collect(sampler(), PROBLEMS, GUIDED, tmp_path))
  idle = dataclasses.replace(sampler(), complete=None, grade=None)
  assert list(collect.collect(idle, PROBLEMS, GUIDED, tmp_path)) == [8, 10]
