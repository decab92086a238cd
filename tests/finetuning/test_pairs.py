"""Which samples become pairs, and by how much their rewards must differ."""

import pytest
from oracles import micro_runs
from oracles import rollouts as make

from qsharp_jax import rewards, rollout
from qsharp_jax.core.errors import InputError
from qsharp_jax.finetuning import base, pairs


def samples(question, labels, **fields):
  return [
    make.rollout(question, i, tokens=[10 + i, 3], label=label, **fields)
    for i, label in enumerate(labels)
  ]


def completions(found):
  end = lambda s: s.tokens[s.mask].tolist()
  return [(end(p.chosen), end(p.rejected)) for p in found]


def test_best_with_worst_as_long_as_they_differ():
  found = samples("a", [0.0, 1.0, 0.0, 1.0]) + samples("b", [1.0, 1.0])
  one = pairs.of_samples(found, per_question=1)
  assert completions(one) == [([11, 3], [12, 3])]
  two = pairs.of_samples(found, per_question=4)
  assert completions(two) == [([11, 3], [12, 3]), ([13, 3], [10, 3])]
  assert [(p.chosen_reward, p.rejected_reward) for p in two] == [(1, 0)] * 2
  assert one[0].chosen.tokens.tolist() == [5, 6, 7, 11, 3]


def test_failed_rewards_make_no_pair():
  found = samples("a", [1.0, 0.0])
  found += samples("b", [1.0]) + samples("b", [0.0], error="raised")
  assert len(pairs.of_samples(found, per_question=2)) == 1
  assert pairs.of_samples([], per_question=2) == []


def test_gold_answers_are_preferred_to_what_earned_less():
  found = samples("a", [0.0, 1.0, 0.5]) + samples("b", [1.0])
  gold = dict.fromkeys("ab", pairs.GradedGold([20, 21, 3], 1.0))
  worse = pairs.of_gold(found, gold, per_question=5)
  assert completions(worse) == [([20, 21, 3], [10, 3]), ([20, 21, 3], [12, 3])]
  assert [p.rejected_reward for p in worse] == [0.0, 0.5]


def test_pairs_of_real_rewards_differ_by_the_margin():
  found = samples("a", [-2.5, 0.37, 11.0, 0.3]) + samples("b", [0.1, 0.3])
  found += samples("c", [-7.0, -7.05])
  rewards = lambda margin: [
    (p.chosen_reward, p.rejected_reward)
    for p in pairs.of_samples(found, per_question=2, min_margin=margin)
  ]
  every = [(11.0, -2.5), (0.37, 0.3), (0.3, 0.1), (-7.0, -7.05)]
  assert rewards(0.0) == every
  assert rewards(0.06) == every[:3]
  assert rewards(0.2) == [every[0], every[2]]  # 0.3 - 0.1 < 0.2 in binary
  assert rewards(13.5) == every[:1]
  assert rewards(13.6) == []


def test_gold_is_worth_what_the_reward_says():
  found = samples("a", [-3.0, -1.2, -1.0, 0.5]) + samples("b", [-9.0])
  gold = {"a": pairs.GradedGold([20, 3], -1.0)}
  rejected = lambda margin: [
    p.rejected_reward
    for p in pairs.of_gold(found, gold, per_question=5, min_margin=margin)
  ]
  assert rejected(0.0) == [-3.0, -1.2]
  assert rejected(0.5) == [-3.0]


def test_gold_answers_are_graded_as_samples_are(tmp_path):
  def grade(texts, answers, split, *, prompts):
    del answers, split, prompts
    failed = rewards.graders.failed("raised")
    is_known = lambda text: not text.startswith("8")
    return [
      rewards.Grade(None, None, -2.5) if is_known(t) else failed for t in texts
    ]

  run = micro_runs.run(tmp_path, grade)
  job = base.Job(run, tmp_path, gold=lambda problem: [problem.prompt[-1], 3])
  found = pairs.graded_gold(job, job.gold, job.rollouts())
  assert {k: v.reward for k, v in found.items()} == {
    p.id: -2.5 for p in run.task.train if p.prompt[-1] != 8
  }


GIVEN = [
  rollout.Preference([7, 8], [10, 3], [11, 12, 3]),
  rollout.Preference([7] * 9, [10, 3], [11, 3]),
]


def test_given_preferences_are_pairs(caplog):
  found = pairs.of_preferences(GIVEN, length=22)
  assert completions(found) == [([10, 3], [11, 12, 3]), ([10, 3], [11, 3])]
  assert found[0].rejected.tokens.tolist() == [7, 8, 11, 12, 3]
  assert not found[0].chosen.mask[:2].any()
  caplog.set_level("WARNING")
  assert completions(pairs.of_preferences(GIVEN, length=9)) == [
    ([10, 3], [11, 12, 3])
  ]
  assert "1 of 2 preferences exceed a row of 9 tokens" in caplog.text


def test_given_preferences_of_which_none_fits_are_refused():
  with pytest.raises(InputError, match="none of 2 .* the shortest takes 9"):
    pairs.of_preferences(GIVEN, length=8)
