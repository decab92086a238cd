"""Which jobs an evaluation has, what they are called, and which have a KL."""

import dataclasses
import types

import numpy as np
import pytest
from oracles import micro_runs
from pyarrow import parquet

from qsharp_jax import generate, rollout
from qsharp_jax.evaluation import summary
from qsharp_jax.generate import decode
from qsharp_jax.pipeline import algorithm1, bindings, jobs, methods, paths
from qsharp_jax.pipeline import samples as samples_lib
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


def test_only_what_may_be_lazy_goes_without_a_kl():
  lazy = dataclasses.replace(method(), is_lazy=True)
  what = jobs.Evaluation({}, kl_every=4)
  assert jobs.kl_every(what, lazy, "test") == 4
  assert jobs.kl_every(what, lazy, "validation") == 0
  assert jobs.kl_every(what, method(), "validation") == 1
  (job, split) = jobs.Job("cd", 2, (0.1,)), "validation"
  found = jobs.plan_of(run(), jobs.Evaluation({"cd": lazy}, 6, 3), job, split)
  assert found == (lazy, rollout.Plan(6, 3, num_together=6, kl_every=0))
  by_objective = dataclasses.replace(what, objective_eta=0.1)
  assert jobs.kl_every(by_objective, lazy, "validation") == 4


SAMPLES, EVERY, ETAS = 8, 3, (0.5, 0.1)
WHOLE = np.arange(SAMPLES) % EVERY == 0


@pytest.fixture(scope="module")
def lazily(tmp_path_factory):
  """A run whose V-type values are read at two of five candidates at first."""
  found = micro_runs.evaluated(
    tmp_path_factory.mktemp("jobs"), num_rounds=1, kind="v"
  )
  policy = dataclasses.replace(found.players.policy, num_scored=2)
  players = dataclasses.replace(found.players, policy=policy)
  return dataclasses.replace(found, players=players)


@pytest.fixture(scope="module")
def sample(lazily):
  """Samples of a method and split by eta, and the questions sampled anew."""

  def sample(kl_every, kind="qsharp", split="test", objective_eta=0.0):
    own = methods.guided(lazily, generate.Guidance(kind), ETAS)
    what = jobs.Evaluation(
      {kind: own}, SAMPLES, 5, kl_every=kl_every, objective_eta=objective_eta
    )
    asked, real = [], algorithm1.sample_each

    def sample_each(run, sampler, problems, plans):
      asked.extend(plans)
      real(run, sampler, problems, plans)

    with pytest.MonkeyPatch.context() as patch:
      patch.setattr(algorithm1, "sample_each", sample_each)
      found = jobs.sample(lazily, what, jobs.Job(kind, 1, ETAS), split)
    return found, len(asked)

  return sample


@pytest.fixture(scope="module")
def both(sample):
  """With a KL of one sample of three, and then of every one."""
  estimated, num_estimated = sample(EVERY)
  num_programs = decode.decode._cache_size()
  exact, num_exact = sample(1)
  # Another way to score, and all etas in it.
  assert decode.decode._cache_size() == num_programs + 1
  # What has no KL is sampled again where it is asked for.
  assert num_estimated == num_exact == len(ETAS)
  return estimated, exact


SAME = (
  *("question_id", "sample", "seed", "ended", "text", "extracted", "correct"),
  *("label", "error", "answer"),
)


def test_answers_are_those_of_scoring_all(both):
  for eta in ETAS:
    some, every = (found[eta] for found in both)
    for name in SAME:
      assert getattr(some, name).tolist() == getattr(every, name).tolist(), name
    assert [t.tolist() for t in some.tokens] == [
      t.tolist() for t in every.tokens
    ]
    assert len({tuple(t) for t in some.tokens}) > 20


def test_samples_scored_whole_have_the_same_kl_and_others_none(both):
  for eta in ETAS:
    some, every = (found[eta] for found in both)
    for name in ("kl", "kl_filtered"):
      own, exact = (
        getattr(x, name).reshape(-1, SAMPLES) for x in (some, every)
      )
      np.testing.assert_allclose(own[:, WHOLE], exact[:, WHOLE], rtol=1e-4)
      assert np.isnan(own[:, ~WHOLE]).all() and (exact > 1e-4).any()


def test_rows_differ_in_their_kl_alone(lazily, both):
  reference = np.array([[0.0, 1.0]] * 6)
  for eta in ETAS:
    own, exact = (
      summary.summarise(
        samples_lib.samples(lazily, found[eta]),
        method="qsharp",
        eta=eta,
        reference_rewards=reference,
      ).to_dict()
      for found in both
    )
    differ = {name for name in own if own[name] != exact[name]}
    assert differ == {
      *("kl", "kl_ci95", "num_kl_samples", "kl_filtered"),
      *("objective", "share", "tokens_per_second"),
    }
    assert own["num_kl_samples"] == 6 * WHOLE.sum()
    assert exact["num_kl_samples"] == 6 * SAMPLES
    whole = both[1][eta].kl.reshape(-1, SAMPLES)[:, WHOLE].mean()
    assert own["kl"] == pytest.approx(whole, rel=1e-4)
    assert own["objective"] == own["reward"] - eta * own["kl"]


def test_an_exact_kl_is_kept_where_less_is_asked(both, sample):
  found, num_asked = sample(EVERY)
  assert num_asked == 0
  assert found[0.1].kl.tolist() == both[1][0.1].kl.tolist()


def test_methods_without_a_bound_are_scored_whole(sample):
  found, _ = sample(EVERY, "vas")
  assert not np.isnan(found[0.1].kl).any()


def test_validation_has_a_kl_where_the_objective_asks_for_it(lazily, sample):
  rewarded, _ = sample(EVERY, split="validation")
  assert np.isnan(rewarded[0.1].kl).all()
  (path, *_) = lazily.paths.samples("validation", "").glob("*/*.parquet")
  table = parquet.read_table(path)
  assert table["kl"].null_count == len(table)  # null, for other tools
  priced, num_asked = sample(EVERY, split="validation", objective_eta=0.1)
  assert num_asked == len(ETAS)
  assert np.isfinite(priced[0.1].kl).sum() == 4 * WHOLE.sum()
  assert priced[0.1].label.tolist() == rewarded[0.1].label.tolist()
