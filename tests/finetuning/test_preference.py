"""How pairs are scored, and what they cost."""

import dataclasses
import functools
import json

import jax
import numpy as np
import pytest
from oracles import decoders, micro_runs
from oracles import finetuning as oracle
from oracles import preferences as preferences_oracle

from qsharp_jax import data, rollout
from qsharp_jax.core import places
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base, preference
from qsharp_jax.training import rows as rows_lib


@pytest.mark.parametrize("margin", [-1.0, float("nan"), float("inf")])
def test_refuses_a_margin_that_is_none(margin):
  with pytest.raises(InputError, match="min_margin is .* >= 0"):
    preference.Preference(min_margin=margin)


def test_says_that_the_margin_leaves_no_pair(tmp_path):
  run = micro_runs.run(tmp_path)  # rewards 0 and 1
  settings = oracle.small("dpo", min_margin=1.5)
  with pytest.raises(InputError, match="differ by 1.5 or more, so there are"):
    oracle.train(run, "dpo", settings)


def test_scores_are_log_probs_under_the_model():
  params = decoders.params(oracle.MODEL)
  sequences = [data.packing.completion([1, 2], [3] * n) for n in (1, 4, 2)]
  rows = data.packing.pad(sequences, length=6)
  found = preference.ref_log_probs(
    oracle.MODEL,
    params,
    rows,
    batch_size=2,
    layout=micro_runs.one_device(),
  )
  score = jax.jit(base.token_log_probs, static_argnums=0)
  expected = score(oracle.MODEL, params, oracle.batch(rows))
  np.testing.assert_allclose(found, expected, atol=1e-5)
  assert (found[0, 1:3] < 0).all() and not found[0, 3:].any()


@pytest.fixture(scope="module")
def params():
  return decoders.params(oracle.MODEL)


def pairs():
  first, second = (oracle.sequences(seed=seed)[:3] for seed in (0, 1))
  return [
    data.pair_packing.Pair(a, b, 1.0, 0.0)
    for a, b in zip(first, second, strict=True)
  ]


SETTINGS = preference.Preference(eta=0.3, alpha=0.8, bias=0.6)
ORACLES = {
  "dpo": lambda *x: preferences_oracle.dpo(*x[:4], 0.3),
  "rpo": lambda *x: preferences_oracle.rpo(*x, 0.3, 0.8),
  "cpl": lambda *x: preferences_oracle.cpl(*x[:2], 0.3, 0.6),
}


def objective(name):
  loss = functools.partial(preference._LOSSES[name], SETTINGS)
  return preference.objective(oracle.MODEL, loss)


@pytest.mark.parametrize("name", ORACLES)
def test_preference_sums_each_side_of_each_row(name, params):
  rows = data.pair_packing.pack_pairs(pairs(), length=14)
  with_padding = rows_lib.completed(rows, len(rows.tokens) + 2)
  total = 0.0
  for pair in pairs():
    sides = (pair.chosen, pair.rejected)
    log_probs, ref = (
      [float(x[s.mask].sum()) for x, s in zip(columns, sides, strict=True)]
      for columns in (
        oracle.log_probs(params, sides),
        [s.labels for s in sides],
      )
    )
    num_chosen = float(pair.chosen.mask.sum())
    total += ORACLES[name](*log_probs, *ref, num_chosen)
  got = jax.jit(objective(name))(params, oracle.batch(with_padding))
  np.testing.assert_allclose(got, (total, 3), rtol=1e-4)


def test_padding_weighs_nothing_and_has_no_nan(params):
  oracle.no_loss_from_padding(objective("rpo"), params)


def test_labels_outside_the_mask_are_not_read(params):
  rows = data.pair_packing.pack_pairs(pairs(), length=14)
  oracle.no_labels_outside_the_mask(objective("rpo"), params, rows)


def test_refuses_a_loss_of_another_name():
  with pytest.raises(InputError, match="loss is 'ipo'.*dpo, rpo, cpl"):
    preference.Preference(loss="ipo")


@pytest.mark.parametrize("name", ["dpo", "cpl"])
def test_given_preferences_need_neither_samples_nor_a_reward(tmp_path, name):
  run = micro_runs.run(tmp_path)
  given = [
    rollout.Preference(p.prompt, [5, 3], [11, 12, 3]) for p in run.task.train
  ]

  def no_grades(*texts, **more):
    raise AssertionError("nothing is to be graded")

  task = dataclasses.replace(run.task, preferences=given, grade=no_grades)
  run = dataclasses.replace(run, task=task)
  places.remove(run.paths.round(1))
  settings = oracle.small(name)
  with run.layout.context():
    model = oracle.train(run, name, settings)
    assert (model / "config.json").exists()
    mark = json.loads(
      (run.workdir.path / "stages" / f"baseline_{name}.json").read_text()
    )
    assert "preferences" in mark["made_from"]
    assert not {"reward", "the rollouts of round 1"} & set(mark["made_from"])
    # Other pairs, another policy; the same ones, the same.
    before = (model / "model.safetensors").read_bytes()
    oracle.train(run, name, settings)
    assert (model / "model.safetensors").read_bytes() == before
    swapped = [
      rollout.Preference(p.prompt, p.rejected, p.chosen) for p in given
    ]
    task = dataclasses.replace(run.task, preferences=swapped)
    oracle.train(dataclasses.replace(run, task=task), name, settings)
    assert (model / "model.safetensors").read_bytes() != before
