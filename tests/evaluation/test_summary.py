"""One line of the report, by hand."""

import dataclasses
import math

import numpy as np
import pytest
from oracles.samples import samples

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import optimum, summary
from qsharp_jax.evaluation.samples import Samples

REFERENCE = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]])


def test_summarise_by_hand():
  row = summary.summarise(
    samples(),
    method="qsharp",
    eta=0.1,
    round_index=2,
    reference_rewards=REFERENCE,
    selected=True,
  )
  assert (row.method, row.eta, row.round_index) == ("qsharp", 0.1, 2)
  assert (row.num_questions, row.num_samples) == (2, 8)
  assert row.pass_at_1 == pytest.approx(3 / 16)
  assert row.pass_at_1_ci95 == (0.0, 3 / 8)
  assert row.majority_at_8 == 0.5
  assert row.pass_at_8 == 0.5
  assert (row.kl, row.kl_filtered) == (7.5, 8.5)
  assert row.num_kl_samples == 16 and row.kl_ci95 == (7.0, 8.0)
  assert row.reward == row.pass_at_1 and row.reward_ci95 == (0.0, 3 / 8)
  assert row.objective == pytest.approx(3 / 16 - 0.1 * 7.5)
  best = optimum.optimum(REFERENCE, eta=0.1).mean()
  assert row.optimum == pytest.approx(best)
  assert row.optimum_ci95[0] < best < row.optimum_ci95[1]
  assert row.share == pytest.approx(
    (row.objective - 3 / 8) / (row.optimum - 3 / 8)
  )
  assert row.num_reference_samples == 4
  assert (row.mean_length, row.truncated_share) == (10.0, 0.25)
  assert row.tokens_per_second == 80.0
  assert row.selected and not row.extra


def test_order_of_the_questions_does_not_matter():
  mixed = samples()
  order = sorted(range(16), key=lambda i: mixed.question_ids[i])
  grouped = Samples(
    question_ids=[mixed.question_ids[i] for i in order],
    reward=mixed.reward[order],
    correct=mixed.correct[order],
    extracted=[mixed.extracted[i] for i in order],
    kl=mixed.kl[order],
    kl_filtered=mixed.kl_filtered[order],
    length=mixed.length[order],
    truncated=mixed.truncated[order],
    seconds=2.0,
  )
  assert summary.summarise(mixed, method="cd", eta=1.0) == summary.summarise(
    grouped, method="cd", eta=1.0
  )


def test_fewer_than_eight_samples_leave_the_columns_of_eight_empty():
  row = summary.summarise(samples(7), method="cd", eta=1.0)
  assert row.majority_at_8 is None and row.pass_at_8 is None
  assert row.optimum is None and row.share is None  # nothing to compare with


def test_values_add_columns():
  value = np.linspace(1, 0, 16)
  row = summary.summarise(samples(value=value), method="cd", eta=1.0)
  # The first draw of question a is right and scores highest.
  assert row.extra == {"best_of_8": 0.5, "weighted_maj1@8": 0.5}
  row = summary.summarise(samples(value=value - 1), method="cd", eta=1.0)
  assert row.extra == {"best_of_8": 0.5}
  row = summary.summarise(samples(value=value * math.nan), method="cd", eta=1.0)
  assert math.isnan(row.extra["best_of_8"])


def test_an_extra_column_cannot_hide_a_fixed_one():
  row = summary.summarise(samples(), method="cd", extra={"kl": 0.0})
  with pytest.raises(InputError, match="kl"):
    row.to_dict()


def without_verdicts(value=None):
  """The same samples under a reward that is a number alone."""
  found = samples(value=value)
  reward = np.where(found.correct, 0.37, -2.5)
  return dataclasses.replace(found, reward=reward, correct=None, extracted=None)


def test_a_reward_without_verdicts_has_no_columns_of_right_and_wrong():
  row = summary.summarise(without_verdicts(), method="cd", eta=1.0)
  assert row.reward == pytest.approx((3 * 0.37 - 13 * 2.5) / 16)
  assert not any("@" in key for key in row.to_dict())
  found = without_verdicts(value=np.linspace(1, 0, 16))
  row = summary.summarise(found, method="cd", eta=1.0)
  assert row.extra == {"reward_best_of_8": pytest.approx((0.37 - 2.5) / 2)}


def test_what_has_no_eta_has_no_objective():
  row = summary.summarise(
    samples(), method="reference", reference_rewards=REFERENCE
  )
  assert row.eta is row.objective is row.optimum is row.share is None
  assert row.num_reference_samples is None


def test_best_of_fewer_than_all_samples():
  found = samples(value=np.linspace(1, 0, 16))
  row = summary.summarise(found, method="reference", best_of=4)
  # Of question a, draws 0 to 3 begin with a right one, 4 to 7 end with one.
  assert row.extra["best_of_4"] == 0.25


def test_a_kl_of_some_samples_is_an_estimate_of_all():
  """Many questions, whose KLs differ, and samples, which differ more."""
  rng = np.random.default_rng(0)
  num_questions, num_samples, num_trials = 60, 8, 40
  inside, widths, errors = 0, {1: [], 4: []}, []
  for _ in range(num_trials):
    kl = rng.gamma(2.0, 1.0, (num_questions, 1)) + rng.exponential(
      1.0, (num_questions, num_samples)
    )
    own = samples_of(kl)
    exact = summary.summarise(own, method="cd", eta=0.5)
    some = np.where(np.arange(num_samples) % 4 == 0, kl, np.nan).reshape(-1)
    found = summary.summarise(
      dataclasses.replace(own, kl=some, kl_filtered=some), method="cd", eta=0.5
    )
    assert found.num_kl_samples == 2 * num_questions
    assert found.reward == exact.reward
    assert found.objective == found.reward - 0.5 * found.kl
    inside += found.kl_ci95[0] <= 3.0 <= found.kl_ci95[1]  # its expectation
    errors.append(found.kl - exact.kl)
    for every, row in ((1, exact), (4, found)):
      widths[every].append(row.kl_ci95[1] - row.kl_ci95[0])
  assert inside >= 34  # 38 are expected
  assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(num_trials)
  assert np.mean(widths[4]) > 1.02 * np.mean(widths[1])


def samples_of(kl):
  """Samples [Q, n] of these KLs, each with a reward of 1."""
  num_questions, num_samples = kl.shape
  flat = kl.reshape(-1)
  return Samples(
    question_ids=[f"q{i:03d}" for i in range(num_questions) for _ in kl[i]],
    reward=np.ones(flat.size),
    kl=flat,
    kl_filtered=flat,
    length=np.ones(flat.size),
    truncated=np.zeros(flat.size, bool),
    seconds=1.0,
  )
