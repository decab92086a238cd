"""What each round samples, trains on and starts from; the models are stubs."""

import json
import types

import numpy as np
import pytest
from oracles import rollouts as make

from qsharp_jax import pipeline, rollout, training
from qsharp_jax.core.errors import InputError
from qsharp_jax.pipeline import algorithm1
from qsharp_jax.rollout import store


def problems(split, num):
  return [
    rollout.Problem(f"{split[0]}{i}", [5, 6], "1", split) for i in range(num)
  ]


@pytest.fixture
def run(tmp_path):
  task = types.SimpleNamespace(
    train=problems("train", 6),
    validation=problems("validation", 2),
    test=problems("x", 2),
  )
  return types.SimpleNamespace(
    task=task,
    players=types.SimpleNamespace(
      critic=types.SimpleNamespace(
        model=types.SimpleNamespace(config="config", head="head"),
        loss="bernoulli",
        atoms=None,
      ),
      family="llama",
      start="start",
    ),
    rounds=pipeline.Rounds(num_rounds=3, num_samples=2, eta=0.3, seed=10),
    sampling=types.SimpleNamespace(batch_size=8),  # one shard a round
    fit=training.Fit(max_length=8, seed=10),
    layout=None,
    workdir=pipeline.Workdir(tmp_path / "run", {}),
    directory=lambda i: tmp_path / "run" / f"round_{i}",
    sampler=lambda values: values,
  )


@pytest.fixture
def calls(monkeypatch):
  """Replaces sampling and training; records what they were asked for."""
  found = types.SimpleNamespace(
    plans=[], samplers=[], fits=[], placed=[], saved=[]
  )

  def sample_all(run, sampler, questions, plan, directory):
    found.plans.append(plan)
    found.samplers.append(sampler)
    # Responses of round i have 2 i tokens: longer ones later.
    length = 2 * len(found.plans)
    store.write_shard(
      directory,
      0,
      [
        make.rollout(
          question.id,
          s,
          seed=plan.seed,
          prompt=[5, 6],
          tokens=[3] * length,
          label=float(s % 2) if question.id != "t0" else 1.0,
          split=question.split,
        )
        for question in questions
        for s in range(plan.num_samples)
      ],
    )

  def fit(objective, params, batches, how, layout, directory):
    found.fits.append((batches.rows, how, directory))
    return {}

  patch = lambda name, value: monkeypatch.setattr(algorithm1, name, value)
  patch("sample_all", sample_all)
  patch("load_values", lambda run, i: f"values of round {i}")
  patch("_placed", lambda run, i: found.placed.append(i))
  patch("_measure", lambda *arguments: None)
  monkeypatch.setattr(algorithm1.fit_lib, "fit", fit)

  def save(directory, config, head, params, family, ids):
    found.saved.append((directory.parent.name, family, ids))

  monkeypatch.setattr(algorithm1.huggingface, "save_value_model", save)
  monkeypatch.setattr(
    algorithm1.huggingface, "token_ids", lambda path: f"ids of {path}"
  )
  return found


def test_round_1_is_a_plain_rollout_and_later_ones_roll_in(run, calls):
  pipeline.learn(run)
  first, second, third = calls.plans
  assert (first.eta, first.rule) == (None, None)
  assert (second.eta, second.rule) == (0.3, "response")
  # The horizon is the mean response length of the round before.
  assert (second.horizon, third.horizon) == (2, 4)
  assert calls.samplers == [None, "values of round 1", "values of round 2"]
  assert len({plan.seed for plan in calls.plans}) == 3


def test_trains_on_all_rounds_so_far_but_never_on_validation(run, calls):
  pipeline.learn(run)
  counts = []
  for rows, _, _ in calls.fits:
    # One prompt a sequence; labels 0 and 1 of 5 questions, 2 samples each.
    counts.append(len(set(rows.sequence_ids[rows.sequence_ids >= 0])))
  assert counts == [counts[0], 2 * counts[0], 3 * counts[0]]
  assert 8 <= counts[0] <= 10  # t0 has one label only; 1 in 50 is held out
  assert len({how.seed for _, how, _ in calls.fits}) == 3


@pytest.mark.parametrize(
  ("is_warm", "starts"), [(False, [None] * 3), (True, [None, 1, 2])]
)
def test_starts_anew_or_from_the_last_round(run, calls, is_warm, starts):
  run.rounds = pipeline.Rounds(num_rounds=3, num_samples=2, is_warm=is_warm)
  pipeline.learn(run)
  assert calls.placed == starts


def test_value_models_keep_the_token_ids_of_their_start(run, calls):
  pipeline.learn(run)
  assert calls.saved == [
    (f"round_{i}", "llama", "ids of start") for i in (1, 2, 3)
  ]


def test_finished_stages_are_not_repeated(run, calls):
  pipeline.learn(run)
  pipeline.learn(run)
  assert (len(calls.plans), len(calls.fits)) == (3, 3)


def test_a_deleted_shard_is_sampled_again_and_nothing_else(run, calls):
  pipeline.learn(run)
  store.shard_path(run.directory(2) / "rollouts", 0).unlink()
  pipeline.learn(run)
  assert (len(calls.plans), len(calls.fits)) == (4, 3)
  assert calls.plans[3] == calls.plans[1]


def test_refuses_rollouts_without_any_signal(run, calls):
  run.rounds = pipeline.Rounds(num_rounds=1, num_samples=1)
  run.task.train = run.task.train[:1]
  with pytest.raises(InputError, match="different rewards.*nothing to learn"):
    pipeline.learn(run)


def test_measures_what_was_held_out(run, monkeypatch, tmp_path):
  split = pipeline.labelled.Split(
    train=make.columns(),
    # Nothing to say.
    held_out_samples=make.columns(make.rollout("q", 0, first_label=2)),
    held_out_questions=make.columns(
      *(make.rollout("v", s, label=float(s)) for s in range(2))
    ),
  )
  monkeypatch.setattr(
    algorithm1.value_model,
    "predict",
    lambda critic, params, rows, **settings: (rows.labels, rows.labels),
  )
  algorithm1._measure(run, {}, split, tmp_path)
  found = json.loads((tmp_path / "value_metrics.json").read_text())
  assert found.keys() == {"held_out_questions"}
  np.testing.assert_allclose(found["held_out_questions"]["roc_auc"], 1.0)
