"""Which jobs an evaluation has, and what they are called on disk."""

import types

import pytest

from qsharp_jax.pipeline import bindings, jobs, paths
from qsharp_jax.pipeline.methods import Method


def method(etas=(None,), *, has_rounds=False, num_samples=None):
  return Method(
    lambda round_index: None,
    etas=etas,
    has_rounds=has_rounds,
    num_samples=num_samples,
    has_values=has_rounds,
    needs=None,
  )


def run(num_rounds=2, root=None):
  """What of a run says which jobs there are."""
  return types.SimpleNamespace(
    rounds=types.SimpleNamespace(num_rounds=num_rounds, eta=0.1),
    paths=None if root is None else paths.RunPaths(root),
    task=types.SimpleNamespace(test=()),
    unguided=lambda: None,
  )


def test_names_tell_methods_etas_and_rounds_apart():
  guided = jobs.Job("qsharp", 2, (0.1, 0.25))
  assert guided.name(0.25) == "qsharp-eta0.25-round2"
  assert guided.stage("test", 0.1) == "evaluate_test_qsharp-eta0.1-round2"
  assert jobs.Job("reference").name(None) == "reference"


def test_a_grid_is_validated_and_earlier_rounds_take_the_eta_of_collection():
  what = jobs.Evaluation(
    {"qsharp": method((0.5, 0.2), has_rounds=True), "dpo": method()}
  )
  assert list(jobs.listed(run(num_rounds=3), what)) == [
    ("validation", jobs.Job("qsharp", 3, (0.5, 0.2))),
    ("test", jobs.Job("reference")),
    ("test", jobs.Job("qsharp", 1, (0.1,))),
    ("test", jobs.Job("qsharp", 2, (0.1,))),
    ("test", jobs.Job("qsharp", 3, (0.5, 0.2))),
    ("test", jobs.Job("dpo")),
  ]


@pytest.mark.parametrize(("asked", "number"), [(16, 16), (17, 24), (1, 8)])
def test_the_reference_is_sampled_in_whole_groups(asked, number, monkeypatch):
  monkeypatch.setattr(jobs.methods_lib, "reference", lambda run: "reference")
  what = jobs.Evaluation({}, num_samples=8, num_reference_samples=asked)
  job = jobs.Job("reference")
  assert jobs.method_of(run(), what, job) == ("reference", number, 8)


def test_a_method_may_want_another_number_of_samples():
  own = method(num_samples=3)
  what = jobs.Evaluation({"best_of_n": own}, num_samples=8)
  assert jobs.method_of(run(), what, jobs.Job("best_of_n")) == (own, 3, 3)


def test_etas_of_an_earlier_call_that_are_whole_are_kept(tmp_path, monkeypatch):
  job = jobs.Job("qsharp", 2, (0.5, 0.2))
  own = run(root=tmp_path)
  for eta in (0.5, 0.1, 2.0):
    own.paths.samples("test", job.name(eta)).mkdir(parents=True)
  for other in (jobs.Job("qsharp", 1), jobs.Job("cd", 2)):
    own.paths.samples("test", other.name(0.3)).mkdir(parents=True)
  monkeypatch.setattr(
    bindings, "is_complete", lambda run, path, problems: "eta2" not in path.name
  )
  assert jobs.with_stored_etas(own, job).etas == (0.5, 0.2, 0.1)
  alone = jobs.Job("dpo")
  assert jobs.with_stored_etas(own, alone) is alone
