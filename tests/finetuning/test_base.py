"""Every method trains, saves and resumes, on models of a few parameters."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from oracles import decoders, micro_runs
from oracles import finetuning as oracle

from qsharp_jax import data, pipeline, rollout
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base, methods


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
  return micro_runs.run(tmp_path_factory.mktemp("baselines"))


@pytest.mark.parametrize("name", methods.DEFAULTS)
def test_every_baseline_moves_the_reference_and_is_saved(name, shared):
  settings, start = oracle.small(name), shared.players.start
  model = oracle.train(shared, name, settings)
  assert model == shared.workdir.path / "baselines" / name / "model"
  moved = oracle.distance(oracle.weights(model), oracle.weights(start))
  assert 1e-3 < moved < 1
  old, new = (huggingface.read_config(p) for p in (start, model))
  assert old == new
  assert (model / "tokenizer.json").read_text() == "{}"
  assert not (model.parent / "checkpoints").exists()
  assert f"baseline_{name}" in shared.workdir.seconds()
  if "num_iterations" in dir(settings):
    content = json.loads((model.parent / "metrics.json").read_text())
    assert [row["iteration"] for row in content["iterations"]] == [0, 1]
    # The first samples are the reference's own.
    kl = [row["kl"] for row in content["iterations"]]
    assert abs(kl[0]) < 1e-4 < kl[1]


@pytest.mark.parametrize("name", ["dpo", "ppo"])
def test_a_policy_that_diverges_is_not_saved_and_a_lower_rate_goes_on(
  name, tmp_path
):
  run, settings = micro_runs.run(tmp_path), oracle.small(name)
  fit = dataclasses.replace(settings.fit, learning_rate=1e30)
  with pytest.raises(InputError, match=r"diverged.*step 1.*lower.*\(1e\+30\)"):
    oracle.train(run, name, dataclasses.replace(settings, fit=fit))
  assert f"baseline_{name}" not in run.workdir.seconds()
  assert not (run.workdir.path / "baselines" / name / "model").exists()
  model = oracle.train(run, name, settings)
  assert f"baseline_{name}" in run.workdir.seconds()
  weights = oracle.weights(model)
  assert all(np.isfinite(x).all() for x in jax.tree.leaves(weights))


def test_a_policy_ends_where_its_reference_ends(tmp_path):
  run = micro_runs.run(tmp_path)
  assert huggingface.token_ids(run.players.start)["eos_token_id"] == [3, 17]
  (tmp_path / "reference" / "generation_config.json").write_text(
    json.dumps({"eos_token_id": [3, 9]})
  )
  model = oracle.train(run, "sft", oracle.small("sft"))
  assert huggingface.read_config(model)["eos_token_id"] == [3, 9, 17]
  assert data.end_ids.read(model) == {3, 9, 17}
  listed = json.loads((model / "digests.json").read_text())
  assert set(listed) == {"config.json", "model.safetensors", "tokenizer.json"}


def test_refuses_rollouts_that_teach_nothing(tmp_path, monkeypatch):
  run = micro_runs.run(tmp_path)
  none = rollout.Rollouts.of([])
  monkeypatch.setattr(
    pipeline.values, "rollouts", lambda run, round_index: none
  )
  reasons = {
    "sft": "nothing to fine-tune",
    "dpo": "no preference",
    "a_star_po": "no optimal value|has a reward",
  }
  for name, reason in reasons.items():
    with pytest.raises(InputError, match=reason):
      oracle.train(run, name, oracle.small(name))


def test_a_packed_sequence_has_the_log_probs_it_has_alone():
  params = decoders.params(oracle.MODEL)
  found = oracle.sequences()
  rows = data.packing.pack(found, length=10)
  score = jax.jit(base.token_log_probs, static_argnums=0)
  got = jax.device_get(score(oracle.MODEL, params, oracle.batch(rows)))
  for i, expected in enumerate(oracle.log_probs(params, found)):
    np.testing.assert_allclose(
      got[rows.sequence_ids == i], expected, rtol=1e-4, atol=1e-6
    )
  assert not np.any(np.where(rows.positions > 0, 0, got))


def test_seeds_change_nothing_but_the_seed():
  settings = oracle.small("sft")
  seeded = settings.seeded(7)
  assert seeded.fit.seed == 7
  assert dataclasses.replace(seeded, fit=settings.fit) == settings
