"""Lines of report.md, by hand."""

import re

from qsharp_jax.evaluation import markdown

ROW = {
  "method": "qsharp",
  "eta": 0.1,
  "round": 2,
  "selected": True,
  "num_questions": 8,
  "num_samples": 4,
  "reward": 0.5,
  "reward_ci95": [0.25, 0.75],
  "kl": 1e-9,
  "objective": None,
  "optimum": 12345.6,
  "optimum_ci95": None,
  "share": 0.123456,
  "mean_length": 7.0,
}
REPORT = {
  "experiment": "stars",
  "variant": "tiny",
  "rows": [ROW, {**ROW, "method": "a|b\nc", "eta": None, "selected": False}],
  "seconds": {"total": 3.25},
  "versions": {"jax": "0.9.0", "torch": None},
}


def lines(**more):
  """Lines of the page; cells of tables without what aligns them."""
  said = markdown.render(REPORT | more).splitlines()
  return [re.sub(r" +\|", " |", line) for line in said]


def test_a_row_is_a_line_of_cells():
  found = lines()
  assert found[0] == "# stars (tiny)"
  assert found[2] == (
    "| method | eta | round | reward | kl | objective | share |"
  )
  assert found[4:6] == [
    "| qsharp | **0.1** | 2 | 0.5 [0.25, 0.75] | 0 | – | 0.1235 |",
    "| a\\|b c | – | 2 | 0.5 [0.25, 0.75] | 0 | – | 0.1235 |",
  ]
  assert "| qsharp | **0.1** | 2 | 12346 |" in found  # besides
  assert "| qsharp | **0.1** | 2 | 8 x 4 | 7 |" in found  # cost
  assert found[-1] == "Versions: jax 0.9.0, torch –."
  assert "Seconds: total 3.25." in found


def test_a_table_is_aligned_for_a_terminal():
  said = markdown.render(REPORT).splitlines()
  assert len({len(line) for line in said[2:6]}) == 1


def test_only_columns_that_are_there_are_defined():
  defined = [x.split("**")[1] for x in lines() if x.startswith("- **")]
  assert defined == [
    *("eta", "round", "reward", "kl", "objective", "optimum", "share", "n"),
    "length",
  ]


def test_the_choice_says_by_what_it_was_made():
  assert any("with the best reward on validation" in x for x in lines())
  by = lines(objective_eta=0.2)
  assert any("with the best objective at eta 0.2 on" in x for x in by)


def test_methods_at_one_kl_are_marked_where_interpolated():
  entry = {"method": "cd", "kl": 0.5, "reward": 0.4, "forwards": 9.0}
  found = lines(
    matched=[
      entry | {"is_interpolated": True},
      entry | {"method": "ppo", "is_interpolated": False},
    ]
  )
  assert "| cd* | 0.5 | 0.4 | 9 |" in found
  assert "| ppo | 0.5 | 0.4 | 9 |" in found
  assert not any(x.startswith("## At the KL") for x in lines())


def test_best_of_n_says_how_many_were_there():
  entry = {"method": "blocks", "eta": None, "forwards": 90, "reward": 0.5}
  entry |= {"n": 9.0, "compared_n": 4.0, "best_of_n": 0.4}
  found = lines(at_equal_forwards=[entry | {"difference": 0.1, "ci95": [0, 1]}])
  row = "| blocks | – | 90 | 0.5 | 9 | 4 | 0.4 | 0.1 [0, 1] |"
  assert row in found


def test_failed_rewards_and_pairs_are_counted():
  found = lines(
    failed_rewards={"train": {"failed": 2, "samples": 9}},
    paired=[{"method": "cd", "eta": 1, "difference": 0.2, "ci95": [0.1, 0.3]}],
  )
  assert "Failed rewards: train 2 of 9." in found
  assert "| cd | 1 | 0.2 [0.1, 0.3] |" in found
