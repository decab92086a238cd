from qsharp_jax.evaluation import columns
from qsharp_jax.evaluation.columns import Cell

ROW = {
  "method": "cd",
  "eta": 0.1,
  "round": 2,
  "num_questions": 3,
  "num_samples": 8,
  "reward": 0.5,
  "reward_ci95": [0.25, 0.75],
  "pass@1": 0.5,
  "pass@1_ci95": [0.25, 0.75],
  "kl": 0.1,
  "kl_filtered": 0.2,
  "selected": True,
  "num_reference_samples": 64,
  "declined": 0.125,
  "seconds": 1.0,
}


def test_keys_that_belong_together_share_a_cell():
  found = columns.cells(ROW)
  assert found["reward"] == Cell(0.5, [0.25, 0.75])
  assert found["n"] == Cell("3 x 8")
  assert found["eta"].is_strong and not found["reward"].is_strong
  assert found.keys().isdisjoint({"selected", "reward_ci95", "kl_filtered"})
  assert found["kl filtered"].value == 0.2


def test_an_estimated_kl_says_what_it_rests_on():
  exact = ROW | {"kl_ci95": [0.05, 0.15], "num_kl_samples": 24}
  found = columns.cells(exact)
  assert (found["kl"], found["n"]) == (Cell(0.1), Cell("3 x 8"))
  found = columns.cells(exact | {"num_kl_samples": 6})
  assert found["kl"] == Cell(0.1, [0.05, 0.15])
  assert found["n"] == Cell("3 x 8, kl: 6")
  assert "num_kl_samples" not in found


def test_every_column_has_one_place():
  found = columns.groups([columns.cells(ROW)])
  assert found.compared == ["reward", "kl"]
  assert found.besides == ["pass@1", "declined"]
  assert found.cost == ["n", "kl filtered", "seconds"]


def test_verdicts_are_compared_where_the_reward_is_more_than_they():
  rows = [columns.cells(ROW), columns.cells(ROW | {"reward": 0.75})]
  assert columns.groups(rows).compared == ["reward", "pass@1", "kl"]


def test_every_known_column_is_explained():
  known = {*columns.groups([columns.cells(ROW)]).compared, "share", "optimum"}
  assert known <= columns.DEFINITIONS.keys()
