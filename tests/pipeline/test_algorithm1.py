"""What each round samples, trains on and starts from, on tiny real models."""

import jax
import numpy as np
import pytest
from oracles import micro_runs, run_files
from oracles import rollouts as make

from qsharp_jax import models, pipeline, rewards, rollout
from qsharp_jax.core import seeds
from qsharp_jax.pipeline import values
from qsharp_jax.rollout import store, switch


def plain(rollouts):
  """Everything but the clock."""
  return [make.plain(row) | {"seconds": 0.0} for row in rollouts]


def assert_same(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


def test_round_1_is_a_plain_rollout_and_later_ones_roll_in(learnt):
  first, second = run_files.read(learnt, 1), run_files.read(learnt, 2)
  assert np.isnan(first.eta).all() and (first.first_label == 0).all()
  np.testing.assert_allclose(first.kl, 0, atol=1e-5)
  assert (second.eta == 0.3).all()
  # The horizon is the mean response length of the round before.
  horizon = round(float(first.lengths.mean()))
  assert horizon > 1
  steps = switch.draw_before(second.seed, horizon=horizon)
  assert second.first_label.tolist() == steps.tolist()
  assert (second.kl[steps > 0] > 1e-6).mean() > 0.5
  assert not set(first.seed) & set(second.seed)


def test_round_2_rolls_in_with_the_values_of_round_1(learnt):
  run = micro_runs.learning(learnt)
  plan = rollout.Plan(
    num_samples=4,
    seed=seeds.stable_seed(run.rounds.seed, "collect", 2),
    eta=0.3,
    rule="algorithm1",
    horizon=round(float(run_files.read(learnt, 1).lengths.mean())),
  )
  problems = [*run.task.train, *run.task.validation]
  sampler = run.sampler(values.load(run, 1))
  (batch,) = rollout.collect.answer(sampler, [problems], plan)
  again = rollout.Rollouts.of(rollout.collect.graded(sampler, plan, batch))
  found = run_files.read(learnt, 2)
  assert [t.tolist() for t in again.tokens] == [
    t.tolist() for t in found.tokens
  ]
  np.testing.assert_allclose(again.kl, found.kl, rtol=1e-4, atol=1e-7)


def test_rollouts_carry_gold_answers_and_splits(learnt):
  run = micro_runs.learning(learnt)
  problems = {p.id: p for p in [*run.task.train, *run.task.validation]}
  rollouts = run_files.read(learnt, 1)
  assert set(rollouts.question_id) == problems.keys()
  for row in rollouts:
    problem = problems[row.question_id]
    assert (row.answer, row.split) == (problem.answer, problem.split)


def test_trains_on_all_rounds_so_far_but_never_on_validation(two_rounds):
  run = micro_runs.learning(two_rounds.directory)
  rounds = [run_files.read(two_rounds.directory, i) for i in (1, 2)]
  for index, fit in enumerate(two_rounds.fits, 1):
    split = pipeline.labelled.split(
      rollout.Rollouts.concatenate(rounds[:index])
    )
    rows = pipeline.labelled.pack(split.train, length=run.fit.max_length)
    assert_same(tuple(fit.rows), tuple(rows))
    # The second token of a prompt names its question.
    is_second = (fit.rows.positions == 1) & ~fit.rows.mask
    asked = set(fit.rows.tokens[is_second])
    assert asked and asked <= {8 + i for i in range(6)}
  first, second = (fit.rows for fit in two_rounds.fits)
  assert second.mask.sum() > first.mask.sum()
  assert len({fit.how.seed for fit in two_rounds.fits}) == 2


def test_starts_anew(two_rounds):
  run = micro_runs.learning(two_rounds.directory)
  for fit in two_rounds.fits:
    assert_same(fit.start, run_files.saved(run, run.players.start))


def test_starts_from_the_last_round(learnt, fits):
  run = micro_runs.learning(learnt, rounds={"is_warm": True})
  pipeline.learn(run)
  # Round 1 has nothing to go on from, so only round 2 was trained again.
  (fit,) = fits
  assert_same(fit.start, run_files.saved(run, run.paths.value(1)))


def test_finished_stages_are_not_repeated(learnt, fits):
  before = run_files.marks(learnt)
  pipeline.learn(micro_runs.learning(learnt))
  assert run_files.marks(learnt) == before and not fits


def test_a_deleted_shard_is_sampled_again_and_nothing_else(learnt, fits):
  before, rollouts = run_files.marks(learnt), plain(run_files.read(learnt, 2))
  path = store.shard_path(learnt / "run" / "round_2" / "rollouts", 1)
  path.unlink()
  pipeline.learn(micro_runs.learning(learnt))
  assert plain(run_files.read(learnt, 2)) == rollouts and not fits
  changed = {
    name
    for name, mark in run_files.marks(learnt).items()
    if mark != before[name]
  }
  assert changed <= {"collect_2"}


def pays(reward):
  """Pays that for an answer with the favourite token, and else nothing."""

  def grade(texts, answers, split="", *, prompts=None):
    found = micro_runs.has_favourite(texts, answers)
    right = rewards.Grade(None, None, reward)
    return [right if grade.correct else grade for grade in found]

  return {"grade": grade}


def categorical(**fields):
  """A value model of three atoms."""
  model = models.ValueModel(micro_runs.CONFIG, models.HeadConfig("q", 3))
  return {"loss": "categorical", "model": model} | fields


def test_the_range_of_round_1_is_the_support_ever_after(tmp_path):
  change = {"critic": categorical(atoms=None), "rounds": {"num_rounds": 1}}
  run = micro_runs.learning(tmp_path, task=pays(-2.5), **change)
  found = pipeline.learn(run)
  assert found.players.critic.atoms == pytest.approx((-2.8, -1.25, 0.3))
  assert found.players.policy.guidance.atoms == found.players.critic.atoms
  assert pipeline.support.read(run.paths) == (-2.8, 0.3)
  # A second call reads what the first has written.
  before = run.paths.support.stat().st_mtime_ns
  again = pipeline.learn(
    micro_runs.learning(tmp_path, task=pays(-2.5), **change)
  )
  assert again.players.critic.atoms == found.players.critic.atoms
  assert run.paths.support.stat().st_mtime_ns == before
