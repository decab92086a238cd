"""What each round samples, trains on and starts from, on tiny real models."""

import json

import jax
import numpy as np
import pytest
from oracles import micro_runs
from oracles import rollouts as make

from qsharp_jax import models, pipeline, rewards, rollout
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core import seeds
from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import algorithm1
from qsharp_jax.rollout import store, switch


def read(directory, round_index):
  return store.read(directory / "run" / f"round_{round_index}" / "rollouts")


def marks(directory):
  """Name and content of every stage's mark."""
  files = (directory / "run" / "stages").iterdir()
  return {file.stem: file.read_bytes() for file in files}


def plain(rollouts):
  """Everything but the clock."""
  return [make.plain(row) | {"seconds": 0.0} for row in rollouts]


def assert_same(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


def saved(run, source):
  """A value model as training starts from it."""
  _, _, params = huggingface.load_value_model(
    source,
    head=run.players.critic.model.head,
    q_head="zeros",
    shardings=run.layout.for_training(run.players.critic.model),
  )
  return jax.device_get(params)


def test_round_1_is_a_plain_rollout_and_later_ones_roll_in(learnt):
  first, second = read(learnt, 1), read(learnt, 2)
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
    horizon=round(float(read(learnt, 1).lengths.mean())),
  )
  problems = [*run.task.train, *run.task.validation]
  sampler = run.sampler(algorithm1.load_values(run, 1))
  (batch,) = rollout.collect.answer(sampler, [problems], plan)
  again = rollout.Rollouts.of(rollout.collect.graded(sampler, plan, batch))
  found = read(learnt, 2)
  assert [t.tolist() for t in again.tokens] == [
    t.tolist() for t in found.tokens
  ]
  np.testing.assert_allclose(again.kl, found.kl, rtol=1e-4, atol=1e-7)


def test_rollouts_carry_gold_answers_and_splits(learnt):
  run = micro_runs.learning(learnt)
  problems = {p.id: p for p in [*run.task.train, *run.task.validation]}
  rollouts = read(learnt, 1)
  assert set(rollouts.question_id) == problems.keys()
  for row in rollouts:
    problem = problems[row.question_id]
    assert (row.answer, row.split) == (problem.answer, problem.split)


def test_trains_on_all_rounds_so_far_but_never_on_validation(two_rounds):
  run = micro_runs.learning(two_rounds.directory)
  rounds = [read(two_rounds.directory, i) for i in (1, 2)]
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
    assert_same(fit.start, saved(run, run.players.start))


def test_starts_from_the_last_round(learnt, fits):
  run = micro_runs.learning(learnt, rounds={"is_warm": True})
  pipeline.learn(run)
  # Round 1 has nothing to go on from, so only round 2 was trained again.
  (fit,) = fits
  assert_same(fit.start, saved(run, run.paths.value(1)))


def test_finished_stages_are_not_repeated(learnt, fits):
  before = marks(learnt)
  pipeline.learn(micro_runs.learning(learnt))
  assert marks(learnt) == before and not fits


def test_a_deleted_shard_is_sampled_again_and_nothing_else(learnt, fits):
  before, rollouts = marks(learnt), plain(read(learnt, 2))
  path = store.shard_path(learnt / "run" / "round_2" / "rollouts", 1)
  path.unlink()
  pipeline.learn(micro_runs.learning(learnt))
  assert plain(read(learnt, 2)) == rollouts and not fits
  changed = {
    name for name, mark in marks(learnt).items() if mark != before[name]
  }
  assert changed <= {"collect_2"}


def test_refuses_rollouts_without_any_signal(tmp_path):
  same = lambda texts, *_, **__: [rewards.Grade(True, None, 1.0) for _ in texts]
  run = micro_runs.learning(tmp_path, task={"grade": same})
  with pytest.raises(InputError, match="different rewards.*nothing to learn"):
    pipeline.learn(run)
  assert "train_1" not in run.workdir.seconds()


def pays(reward):
  """Pays that for an answer with the favourite token, and else nothing."""

  def grade(texts, answers, split="", *, prompts=None):
    found = micro_runs.has_favourite(texts, answers)
    right = rewards.Grade(None, None, reward)
    return [right if grade.correct else grade for grade in found]

  return {"grade": grade}


@pytest.mark.parametrize(
  ("reward", "says"),
  [
    (0.5, "the first 0.5; expected 0 or 1, failure or success"),
    (-1.0, "the first -1; expected 0 or 1"),
  ],
)
def test_refuses_rewards_that_the_values_cannot_say(reward, says, tmp_path):
  run = micro_runs.learning(
    tmp_path, task=pays(reward), rounds={"num_rounds": 1}
  )
  with pytest.raises(InputError, match=r"^\d+ of \d+ rewards are ") as refused:
    pipeline.learn(run)
  assert says in str(refused.value) and "'categorical'" in str(refused.value)
  assert list(run.workdir.seconds()) == ["collect_1"]


def categorical(**fields):
  """A value model of three atoms."""
  model = models.ValueModel(micro_runs.CONFIG, models.HeadConfig("q", 3))
  return {"loss": "categorical", "model": model} | fields


def test_rewards_beyond_the_support_are_counted_and_named(tmp_path, caplog):
  run = micro_runs.learning(
    tmp_path,
    task=pays(7.0),
    critic=categorical(atoms=(0.0, 0.5, 1.0)),
    rounds={"num_rounds": 1},
  )
  pipeline.learn(run)
  (line,) = [m for m in caplog.messages if "outside the support" in m]
  assert "from 0 to 1 (they reach from 0 to 7)" in line
  found = json.loads(run.paths.value_metrics(1).read_text())
  assert found["labels_outside_support"] > 0


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


def test_measures_what_was_held_out(learnt):
  run = micro_runs.learning(learnt)
  critic, params = run.players.critic, saved(run, run.paths.value(2))
  apply = jax.jit(critic.model.apply)
  losses, values, labels = [], [], []
  for i in (1, 2):
    rollouts = read(learnt, i)
    for row in rollouts.take(rollouts.split == "validation"):
      tokens = np.concatenate([row.prompt, row.tokens])
      end = len(tokens)
      padded = np.pad(tokens, (0, 8 - end))[None]  # what follows is not seen
      logits = apply(params, padded, np.arange(8)[None])[0]
      logits = np.asarray(logits)[len(row.prompt) + row.first_label : end]
      target = np.full(len(logits), row.label, np.float32)
      losses.extend(critic.token_loss(logits, target).tolist())
      values.extend(critic.mean(logits).tolist())
      labels.extend(target.tolist())
  file = run.paths.value_metrics(2)
  found = json.loads(file.read_text())["held_out_questions"]
  # Rollouts that ended before their switch have nothing to say.
  assert found["tokens"] == len(losses) > 10
  np.testing.assert_allclose(found["loss"], np.mean(losses), rtol=1e-4)
  explained = 1 - np.var(np.subtract(labels, values)) / np.var(labels)
  np.testing.assert_allclose(
    found["explained_variance"], explained, rtol=1e-2, atol=1e-4
  )


@pytest.mark.parametrize("content", [None, "", "[]"])
def test_lost_metrics_are_measured_again_and_nothing_trained(
  learnt, fits, caplog, content
):
  file = learnt / "run" / "round_2" / "value_metrics.json"
  good, before = json.loads(file.read_text()), marks(learnt)
  file.unlink() if content is None else file.write_text(content)
  pipeline.learn(micro_runs.learning(learnt))
  assert json.loads(file.read_text()) == good
  assert marks(learnt) == before and not fits
  assert "round_2/value_metrics.json is" in caplog.text
