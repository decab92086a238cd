"""What the stages of a run share."""

import dataclasses
import types

import pytest
from oracles import micro_runs

from qsharp_jax import generate, models, pipeline, rollout


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  return micro_runs.learning(tmp_path_factory.mktemp("run"))


def test_the_newest_two_values_are_read_once(run, monkeypatch):
  read = []
  load = lambda self, path: read.append(path.parent.name) or path
  monkeypatch.setattr(pipeline.Run, "load", load)
  own = dataclasses.replace(run, held={})
  for i in (1, 1, 2, 1, 2, 3, 2, 1):
    assert own.values(i) == run.paths.value(i)
    assert len(own.held) <= 2
  assert read == ["round_1", "round_2", "round_3", "round_1"]


def test_without_its_values_a_policy_knows_no_guidance(run):
  found = run.unguided(num_candidates=3)
  assert (found.value, found.guidance, found.num_candidates) == (None, None, 3)
  assert found.reference == run.players.policy.reference


def policies_of(run, monkeypatch, sample):
  """Policies, parameters and settings that generation was asked for."""
  asked = []
  note = lambda policy, params, requests, sampling, *, place: asked.append(
    (policy, params, sampling)
  )
  monkeypatch.setattr(generate, "generate", note)
  sample().complete([])
  return asked


def test_rounds_sample_with_values_or_without(run, monkeypatch):
  ((policy, params, sampling),) = policies_of(
    run, monkeypatch, lambda: run.sampler(None)
  )
  assert policy == run.unguided() and params.keys() == {"reference"}
  assert sampling == run.sampling
  ((policy, params, _),) = policies_of(
    run, monkeypatch, lambda: run.sampler("values")
  )
  assert policy == run.players.policy and params["value"] == "values"


def test_rows_of_the_report_score_all_candidates(run, monkeypatch):
  lazy = dataclasses.replace(run.players.policy, num_scored=2)
  other = dataclasses.replace(run.sampling, temperature=0.5)
  ((policy, params, sampling),) = policies_of(
    run, monkeypatch, lambda: run.sampler_of(lazy, {"actor": 1}, other)
  )
  assert policy.num_scored == 0 and sampling == other
  assert params["actor"] == 1 and params["reference"] is not None


def test_parts_fill_the_rows_of_all_samples(run, monkeypatch):
  value = models.ValueModel(micro_runs.CONFIG, models.HeadConfig("v"))
  guided = dataclasses.replace(
    run.players.policy,
    value=value,
    guidance=generate.Guidance("qsharp"),
    num_scored=2,
    top_p_of="reference",
  )
  whole, lazy = rollout.partly.parts(8, 4)
  for part, num_scored, widen in ((whole, 0, 4), (lazy, 2, 1)):
    ((policy, _, sampling),) = policies_of(
      run,
      monkeypatch,
      lambda part=part: types.SimpleNamespace(
        complete=lambda requests: run.sampler_of(guided, {}).complete_part(
          requests, part
        )
      ),
    )
    assert policy == dataclasses.replace(guided, num_scored=num_scored)
    assert sampling.batch_size == widen * run.sampling.batch_size
    assert sampling.prompts_per_refill == widen
  for scoring_all in (
    dataclasses.replace(guided, num_scored=0),
    dataclasses.replace(guided, guidance=generate.Guidance("vas")),
    run.unguided(),
  ):
    assert run.sampler_of(scoring_all, {}).complete_part is None
