"""What the experiment prints, at small sizes, and how it refuses."""

import functools
import json

import numpy as np
import pytest
from oracles import commands

from qsharp_jax.tabular import plots, studies


def test_rows_of_the_tree():
  qsharp, cd, weak, _ = studies.tree_rows()
  assert [qsharp["method"], cd["method"], weak["eta"]] == ["qsharp", "cd", 1.0]
  wanted = {"q_right": 0.70051, "v_root": 0.63144}
  tolerance = {"abs": 1e-4}
  assert qsharp["p_left"] == pytest.approx(0.0025, **tolerance)
  assert cd["p_left"] == pytest.approx(0.6225, **tolerance)
  assert cd["gap"] == pytest.approx(0.6314 - 0.3237, **tolerance)
  for row in (qsharp, cd):
    assert {k: row[k] for k in wanted} == pytest.approx(wanted, **tolerance)
    difference = row["v_root"] - row["objective"]
    assert row["gap"] == pytest.approx(difference, abs=1e-6)


def test_random_trees_are_solved_and_cd_leaves_a_gap():
  found = studies.random_trees(10, seed=0)
  assert found["qsharp_gap_max"] < 1e-5
  assert 0.005 < found["cd_gap_mean"] < found["cd_gap_max"]


def test_cd_gap_grows_as_guidance_gets_stronger():
  rows = studies.cd_gaps((0.02, 0.1, 1.0))
  gaps = [row["cd_gap"] for row in rows]
  assert gaps[0] > gaps[1] > gaps[2] > 0
  assert max(row["qsharp_gap"] for row in rows) < 1e-6


def test_squared_variation_by_hand():
  # 1 + CV^2 = E[exp(2 Z / eta)] / E[exp(Z / eta)]^2 for a Bernoulli Z.
  probs = np.array([[[0.95, 0.05]]])
  tilt = np.exp(1 / studies.ETA)
  mean = 0.95 + 0.05 * tilt
  expected = (0.95 + 0.05 * tilt**2) / mean**2 - 1
  distributions = studies.ReturnDistributions(
    np.log(probs), np.array([0.0, 1.0])
  )
  assert studies.squared_variation(distributions) == pytest.approx(expected)


def test_cumulative_by_hand():
  gaps = np.array([[1.0, 2.0, 9.0], [3.0, 4.0, 9.0]])
  assert studies.cumulative(gaps, 2) == pytest.approx((5.0, 2.0))


def test_plots_are_written_whole(tmp_path):
  gaps = np.abs(np.random.default_rng(0).normal(size=(3, 40)))
  plots.learning({"a": gaps, "b": 0 * gaps}, tmp_path / "learning.png")
  study = {"cv2": 1.0, "curves": {"counts": gaps, "Vovk": 2 * gaps}}
  plots.second_order([study, study], tmp_path / "second_order.png")
  plots.cd_gaps(studies.cd_gaps((0.1, 1.0)), tmp_path / "cd_gap.png")
  written = sorted(tmp_path.iterdir())
  assert [path.name for path in written] == [
    "cd_gap.png",
    "learning.png",
    "second_order.png",
  ]
  assert all(path.stat().st_size > 10_000 for path in written)


run = functools.partial(commands.run, "experiments.tabular")


def test_the_command_at_its_smallest(tmp_path):
  done = run(
    f"--workdir={tmp_path / 'run'}",
    "--num_trees=2",
    "--num_mdps=2",
    "--num_rounds=16",
    "--num_seeds=2",
  )
  assert done.returncode == 0, done.stderr
  for number in ("0.70051", "0.62246", "0.63144", "0.32369"):
    assert number in done.stdout
  names = sorted(path.name for path in (tmp_path / "run").iterdir())
  pictures = ["cd_gap.png", "learning.png", "second_order.png"]
  assert names == sorted([*pictures, "report.json", "report.md"])
  report = json.loads((tmp_path / "run" / "report.json").read_text())
  assert report["random_trees"]["qsharp_gap_max"] < 1e-3
  qsharp = report["estimates"]["exact_shares"]["qsharp"]
  assert qsharp["least"] == pytest.approx(1, abs=1e-3)
  assert "| share of cd " in done.stdout
  assert len(report["second_order"]) == 2 * len(studies.SPREADS)
  assert (tmp_path / "run" / "report.md").read_text() in done.stdout


@pytest.mark.parametrize(
  "flags, says",
  [
    ([], "workdir"),
    (["--workdir={}/file"], "file"),
    (["--workdir={}/run", "--num_rounds=3"], "num_rounds"),
    (["--workdir={}/run", "--rounds=3"], "rounds"),
  ],
)
def test_a_wrong_flag_is_one_line(flags, says, tmp_path):
  (tmp_path / "file").touch()
  done = run(*(flag.format(tmp_path) for flag in flags))
  assert done.returncode == 2
  assert len(done.stderr.strip().splitlines()) == 1 and says in done.stderr
  assert not (tmp_path / "run").exists()
