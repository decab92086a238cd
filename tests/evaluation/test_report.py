import dataclasses
import json
import math

import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import report, summary

FIXED_KEYS = {
  "method",
  "eta",
  "round",
  "num_questions",
  "num_samples",
  "reward",
  "reward_ci95",
  "objective",
  "optimum",
  "optimum_ci95",
  "share",
  "num_reference_samples",
  "pass@1",
  "pass@1_ci95",
  "maj1@8",
  "pass@8",
  "kl",
  "kl_filtered",
  "mean_length",
  "truncated_share",
  "tokens_per_second",
  "selected",
  "kl_ci95",
  "num_kl_samples",
}


def row(method="reference", **fields):
  """A row whose numbers do not matter."""
  whole = dict.fromkeys(f.name for f in dataclasses.fields(summary.Row))
  numbers = ("reward", "kl", "kl_filtered", "mean_length", "tokens_per_second")
  whole |= dict.fromkeys(numbers, 0.5) | {"round_index": 0, "selected": False}
  whole |= {"truncated_share": 0.0, "reward_ci95": (0.0, 0.375), "extra": {}}
  verdicts = {"pass_at_1": 0.1875, "pass_at_1_ci95": (0.0, 0.375)}
  sizes = {"num_questions": 2, "num_samples": 8}
  return summary.Row(**(whole | sizes | verdicts | {"method": method} | fields))


def document(rows, **more):
  return {
    "experiment": "e",
    "variant": "v",
    "rows": rows,
    "seconds": {"train": 1.5, "total": 2.0},
    "versions": {"python": "3", "jax": None},
  } | more


def test_round_trip(tmp_path):
  rows = [
    row(),
    row(
      "qsharp",
      eta=0.1,
      round_index=1,
      share=math.inf,
      selected=True,
      extra={"model_forwards": np.int64(12)},
    ),
  ]
  report.write(document(rows, note="kept"), tmp_path / "new" / "folder")
  folder = tmp_path / "new" / "folder"
  read = json.loads((folder / "report.json").read_text())
  assert set(read["rows"][0]) == FIXED_KEYS
  assert set(read["rows"][1]) == FIXED_KEYS | {"model_forwards"}
  assert read["rows"][1]["pass@1_ci95"] == [0.0, 0.375]
  assert read["rows"][1]["round"] == 1
  assert read["rows"][1]["selected"] is True
  assert read["rows"][1]["model_forwards"] == 12
  assert read["rows"][1]["share"] is None  # it is not finite
  assert read["note"] == "kept"
  assert read["versions"] == {"python": "3", "jax": None}
  # Written again from what was read: nothing changes, nothing lies around.
  before = [
    (folder / name).read_text() for name in ("report.json", "report.md")
  ]
  report.write(read, folder)
  assert before == [
    (folder / name).read_text() for name in ("report.json", "report.md")
  ]
  names = ["report.html", "report.json", "report.md"]
  assert sorted(p.name for p in folder.iterdir()) == names


def test_numbers_that_are_not_finite_become_null(tmp_path):
  row = {"method": "cd", "kl": math.nan, "x": np.array([1.0, math.inf])}
  report.write(document([row]), tmp_path)
  (read,) = json.loads((tmp_path / "report.json").read_text())["rows"]
  assert read == {"method": "cd", "kl": None, "x": [1.0, None]}


def test_markdown(tmp_path):
  rows = [
    row(),
    row(
      "qsharp",
      eta=0.1,
      optimum=0.75,
      optimum_ci95=(0.5, 0.875),
      share=0.25,
      selected=True,
      extra={"forwards": 3, "note": "a|b"},
    ),
  ]
  report.write(document(rows), tmp_path)
  lines = (tmp_path / "report.md").read_text().splitlines()
  assert lines[0] == "# e (v)"
  tables = "\n".join(lines).split("\n\n")
  compared, besides, cost = (
    [
      [x.strip() for x in line.strip("| ").split(" | ")]
      for line in table.split("\n")
    ]
    for table in tables
    if table.startswith("|")
  )
  names = ["method", "eta", "round", "reward", "pass@1", "kl"]
  assert compared[0] == [*names, "objective", "share"]
  assert compared[3][1] == "**0.1**" and compared[2][1] == "–"
  assert compared[3][4] == "0.1875 [0, 0.375]"
  assert compared[3][7] == "0.25"
  assert besides[0][3:] == ["optimum", "maj1@8", "pass@8", "note"]
  assert besides[3][3] == "0.75 [0.5, 0.875]"
  assert besides[3][6] == "a\\|b"
  assert cost[0][3] == "n" and cost[3][3] == "2 x 8"
  assert "forwards" in cost[0]
  # The columns stand in line in a terminal, too.
  for table in tables:
    assert len({*map(len, table.split("\n"))}) == 1 or "|" not in table[:1]
  assert any("best reward on validation" in line for line in lines)
  assert "Seconds: train 1.5, total 2." in lines
  assert "Versions: python 3, jax –." in lines
  for name in ("pass@1", "maj1@8", "pass@8", "share", "kl filtered"):
    assert any(line.startswith(f"- **{name}**: ") for line in lines)


def test_a_missing_part_is_named(tmp_path):
  whole = document([])
  del whole["seconds"]
  with pytest.raises(InputError, match="got no seconds"):
    report.write(whole, tmp_path)


def test_a_failed_write_leaves_the_old_report(tmp_path):
  report.write(document([]), tmp_path)
  before = (tmp_path / "report.json").read_text()
  with pytest.raises(TypeError):
    report.write(document([{"method": object()}]), tmp_path)
  assert (tmp_path / "report.json").read_text() == before
  assert len(list(tmp_path.iterdir())) == 3


def test_versions_name_every_package():
  found = report.versions()
  assert list(found) == [
    "python",
    "jax",
    "flax",
    "optax",
    "numpy",
    "transformers",
    "math-verify",
    "qsharp_jax",
  ]
  assert found["numpy"] == np.__version__
  assert found["python"].startswith("3.")


def test_an_absent_package_has_no_version(monkeypatch):
  monkeypatch.setattr(report, "_PACKAGES", ("no-such-distribution",))
  assert report.versions()["no-such-distribution"] is None


def test_without_verdicts_nothing_speaks_of_right_answers(tmp_path):
  rows = [row(pass_at_1=None), row("cd", eta=0.1, pass_at_1=None)]
  content = document(rows, objective_eta=0.2)
  report.write(content, tmp_path)
  for name in ("report.json", "report.md"):
    assert "pass@" not in (tmp_path / name).read_text()
  assert "best objective at eta 0.2" in (tmp_path / "report.md").read_text()


def test_the_methods_beside_qsharp(tmp_path):
  entry = {"method": "cd", "eta": 0.1, "difference": 0.5, "ci95": (0.25, 0.75)}
  report.write(document([row()], paired=[entry]), tmp_path)
  text = (tmp_path / "report.md").read_text()
  assert "| cd     | 0.1 | 0.5 [0.25, 0.75] |" in text


def test_says_what_was_verified(tmp_path):
  report.write(document([row()], verified="Verified on 3 tokens."), tmp_path)
  assert "\n\nVerified on 3 tokens.\n" in (tmp_path / "report.md").read_text()
  assert "Verified on 3 tokens." in (tmp_path / "report.html").read_text()
