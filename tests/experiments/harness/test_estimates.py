"""The study of estimates beside exact values, at a small size."""

import numpy as np
import pytest

from experiments.harness import estimates
from qsharp_jax.evaluation import optimum


@pytest.fixture(scope="module")
def found():
  return estimates.study(12, seed=0)


def test_every_quantity_has_a_row(found):
  rows = {row["quantity"]: row for row in found["rows"]}
  assert list(rows) == [
    "optimum, plug-in",
    "optimum",
    "front at eta 0.05",
    "front at eta 0.1",
    "front at eta 0.2",
    "share of qsharp",
    "share of cd",
  ]
  for row in rows.values():
    assert row["of"] == 12 and row["inside"] >= 9
    assert abs(row["estimate"] - row["exact"]) < row["width"]
  biases = [abs(rows[n]["bias"]) for n in ("optimum", "optimum, plug-in")]
  assert biases[0] < biases[1] / 3


def test_exact_qsharp_takes_all_of_the_gain_and_cd_less(found):
  qsharp, cd = (found["exact_shares"][name] for name in ("qsharp", "cd"))
  assert qsharp["least"] == pytest.approx(1, abs=1e-3)
  assert qsharp["greatest"] == pytest.approx(1, abs=1e-3)
  assert 0.5 < cd["least"] <= cd["greatest"] < 0.995


def test_an_estimator_that_is_off_is_found_out(monkeypatch):
  right = optimum.optimum
  wrong = lambda rewards, **settings: 0.1 + right(rewards, **settings)
  monkeypatch.setattr(estimates.optimum, "optimum", wrong)
  rows = {r["quantity"]: r for r in estimates.study(6, seed=0)["rows"]}
  assert rows["optimum"]["inside"] == 0
  assert rows["optimum"]["bias"] == pytest.approx(0.1, abs=0.01)
  assert rows["share of qsharp"]["inside"] == 0
  assert rows["front at eta 0.1"]["inside"] >= 4


def test_shares_by_hand():
  # Objective 0.5, reference 0 and optimum 1 on every question.
  columns = np.array([[0.5] * 4, [0.0] * 4, [1.0] * 4])
  estimate = estimates._of_shares(columns, 0.5, 0.5)
  assert estimate == estimates.Estimate(0.5, 0.5, 0.5, 0.5, 0.5)
