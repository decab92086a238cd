"""What a plan asks the decode loop for, by hand."""

import dataclasses

import numpy as np
import pytest

from qsharp_jax import generate
from qsharp_jax.core import seeds
from qsharp_jax.core.errors import InputError
from qsharp_jax.rollout import problems

PROBLEM = problems.Problem("q7", [5, 6], "gold")
PLAN = problems.Plan(6, seed=3, eta=0.2)


def test_seeds_name_the_question_and_the_sample():
  (request,) = problems.requests(PROBLEM, PLAN)
  assert request.prompt == [5, 6] and request.id == "q7"
  assert request.seeds == [seeds.stable_seed(3, "q7", i) for i in range(6)]
  assert request.eta == 0.2 and request.guided_steps is None
  reference = dataclasses.replace(PLAN, eta=None)
  assert problems.requests(PROBLEM, reference)[0].eta == np.inf


@pytest.mark.parametrize("rule", [None, "algorithm1"])
def test_parts_ask_for_the_samples_of_the_whole(rule):
  plan = dataclasses.replace(PLAN, rule=rule, horizon=9)
  (whole,) = problems.requests(PROBLEM, plan)
  parts = problems.requests(PROBLEM, dataclasses.replace(plan, num_together=2))
  assert len(parts) == 3
  assert [s for part in parts for s in part.seeds] == whole.seeds
  if rule is None:
    assert {part.guided_steps for part in parts} == {None}
  else:
    steps = [step for part in parts for step in part.guided_steps]
    assert steps == whole.guided_steps


def test_parts_are_of_one_size():
  plan = dataclasses.replace(PLAN, num_together=4)
  with pytest.raises(InputError, match="6 samples, 4 together"):
    problems.requests(PROBLEM, plan)


def test_answers_to_parts_are_one_answer():
  parts = [
    problems.Answer(request, [f"sample {i}"], np.array([i]))
    for i, request in enumerate(
      problems.requests(PROBLEM, problems.Plan(2, 3, num_together=1))
    )
  ]
  both = problems.joined(parts)
  assert both.completions == ["sample 0", "sample 1"]
  assert both.first_labels.tolist() == [0, 1]
  (whole,) = problems.requests(PROBLEM, problems.Plan(2, 3))
  assert both.request.seeds == whole.seeds


def test_a_cut_lies_inside_each_response():
  request = generate.Request([1], [11, 12, 13])
  steps = problems.cut(request, [1, 5, 40]).guided_steps
  assert all(1 <= step <= n for step, n in zip(steps, [1, 5, 40], strict=True))
