"""Differences between methods on the same questions, by hand."""

import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import paired, summary
from qsharp_jax.evaluation.samples import Samples


def entry(method, eta, rewards, *, round_index=2):
  """Three questions with one sample each, every KL 1 nat."""
  samples = Samples(
    question_ids=["b", "a", "c"],
    reward=np.array(rewards),
    kl=np.ones(3),
    kl_filtered=np.ones(3),
    length=np.ones(3),
    truncated=np.zeros(3, bool),
    seconds=1.0,
  )
  row = summary.summarise(
    samples, method=method, eta=eta, round_index=round_index
  )
  return paired.Objectives.of(row, samples)


def test_the_objective_of_each_question():
  found = entry("cd", 0.5, [1.0, 0.0, 2.0])
  assert found.per_question.tolist() == [-0.5, 0.5, 1.5]  # a, b, c


def test_equal_gains_everywhere_have_no_width():
  found = paired.against_qsharp(
    [
      entry("qsharp", 0.1, [0.0, 1.0, 0.0], round_index=1),
      entry("qsharp", 0.1, [0.5, 1.5, 1.0]),
      entry("cd", 0.1, [0.25, 1.25, 0.75]),
      entry("cd", 0.2, [9.0, 9.0, 9.0]),
      entry("args", 0.1, [0.5, 1.5, 0.0], round_index=0),
    ]
  )
  assert [(e["method"], e["eta"]) for e in found] == [
    ("cd", 0.1),
    ("args", 0.1),
  ]
  assert found[0]["difference"] == pytest.approx(0.25)
  assert found[0]["ci95"] == pytest.approx((0.25, 0.25))
  low, high = found[1]["ci95"]
  assert found[1]["difference"] == pytest.approx(1 / 3)
  assert low == 0.0 and high > 1 / 3


def test_a_row_without_an_eta_has_no_objective():
  row = entry("cd", 0.5, [1.0, 0.0, 2.0]).row
  with pytest.raises(InputError, match="no eta"):
    paired.Objectives.of(type(row)(**{**vars(row), "eta": None}), None)
