import dataclasses
import json
import math

import numpy as np
import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import report

FIXED_KEYS = {
  "method",
  "eta",
  "round",
  "num_questions",
  "num_samples",
  "pass@1",
  "pass@1_ci95",
  "maj1@8",
  "pass@8",
  "kl",
  "kl_filtered",
  "kl_floor",
  "mean_length",
  "truncated_share",
  "tokens_per_second",
  "selected",
}


def samples(num_samples=8, value=None):
  """Question a: 3 of 8 right, b: none; drawn in turns."""
  ids, correct, extracted = [], [], []
  for draw in range(num_samples):
    ids += ["a", "b"]
    correct += [draw in (0, 1, 7), False]
    # Question a: 7 has 3 votes, the others one each.
    extracted += ["7" if draw in (0, 1, 7) else f"w{draw}", None]
  count = len(ids)
  return report.Samples(
    question_ids=ids,
    correct=np.array(correct),
    extracted=extracted,
    kl=np.arange(count, dtype=np.float32),
    kl_filtered=np.arange(count) + 1.0,
    length=np.full(count, 10),
    truncated=np.arange(count) % 4 == 0,
    seconds=2.0,
    value=value,
  )


def document(rows, **more):
  return {
    "experiment": "e",
    "variant": "v",
    "rows": rows,
    "seconds": {"train": 1.5, "total": 2.0},
    "versions": {"python": "3", "jax": None},
  } | more


def test_summarise_by_hand():
  row = report.summarise(
    samples(),
    method="qsharp",
    eta=0.1,
    round_index=2,
    reference_pass_at_1=0.1,
    selected=True,
  )
  assert (row.method, row.eta, row.round_index) == ("qsharp", 0.1, 2)
  assert (row.num_questions, row.num_samples) == (2, 8)
  assert row.pass_at_1 == pytest.approx(3 / 16)
  assert row.pass_at_1_ci95 == (0.0, 3 / 8)
  assert row.majority_at_8 == 0.5
  assert row.pass_at_8 == 0.5
  assert (row.kl, row.kl_filtered) == (7.5, 8.5)
  p = 3 / 16
  assert row.kl_floor == pytest.approx(
    p * math.log(p / 0.1) + (1 - p) * math.log((1 - p) / 0.9)
  )
  assert (row.mean_length, row.truncated_share) == (10.0, 0.25)
  assert row.tokens_per_second == 80.0
  assert row.selected and not row.extra


def test_order_of_the_questions_does_not_matter():
  mixed = samples()
  order = sorted(range(16), key=lambda i: mixed.question_ids[i])
  grouped = report.Samples(
    question_ids=[mixed.question_ids[i] for i in order],
    correct=mixed.correct[order],
    extracted=[mixed.extracted[i] for i in order],
    kl=mixed.kl[order],
    kl_filtered=mixed.kl_filtered[order],
    length=mixed.length[order],
    truncated=mixed.truncated[order],
    seconds=2.0,
  )
  assert report.summarise(mixed, method="cd", eta=1.0) == report.summarise(
    grouped, method="cd", eta=1.0
  )


def test_fewer_than_eight_samples_leave_the_columns_of_eight_empty():
  row = report.summarise(samples(7), method="cd", eta=1.0)
  assert row.majority_at_8 is None and row.pass_at_8 is None
  assert row.kl_floor is None


def test_the_reference_has_no_floor_above_zero():
  row = report.summarise(samples(), method="reference")
  assert (row.eta, row.kl_floor) == (None, 0.0)


def test_values_add_columns():
  value = np.linspace(1, 0, 16)
  row = report.summarise(samples(value=value), method="cd", eta=1.0)
  # The first draw of question a is right and scores highest.
  assert row.extra == {"best_of_8": 0.5, "weighted_maj1@8": 0.5}
  row = report.summarise(samples(value=value - 1), method="cd", eta=1.0)
  assert row.extra == {"best_of_8": 0.5}
  row = report.summarise(samples(value=value * math.nan), method="cd", eta=1.0)
  assert math.isnan(row.extra["best_of_8"])


def test_unequal_samples_per_question_are_refused():
  uneven = dataclasses.replace(samples(), question_ids=["a"] * 9 + ["b"] * 7)
  with pytest.raises(InputError, match="between 7 and 9 samples"):
    report.summarise(uneven, method="cd")


def test_arrays_of_different_lengths_are_refused():
  with pytest.raises(InputError, match="'kl': 3"):
    dataclasses.replace(samples(), kl=np.zeros(3))


def test_kl_floor_limits():
  assert report.kl_floor(0.3, 0.3) == 0.0
  assert report.kl_floor(1.0, 0.25) == pytest.approx(math.log(4))
  assert report.kl_floor(0.0, 0.25) == pytest.approx(-math.log(0.75))
  assert report.kl_floor(0.5, 0.0) == math.inf
  assert report.kl_floor(0.0, 0.0) == 0.0
  assert report.kl_floor(1.0, 1.0) == 0.0
  assert math.isnan(report.kl_floor(math.nan, 0.5))


def test_no_policy_beats_the_floor():
  generator = np.random.default_rng(0)
  for _ in range(200):
    reference, policy = generator.dirichlet([0.5] * 6, size=2) + 1e-12
    right = np.arange(6) < 2
    kl = np.sum(policy * np.log(policy / reference))
    floor = report.kl_floor(policy[right].sum(), reference[right].sum())
    assert kl >= floor - 1e-9


def test_the_conditioned_reference_reaches_the_floor():
  reference = np.array([0.05, 0.15, 0.3, 0.5])
  policy = np.array([0.25, 0.75, 0.0, 0.0])
  kl = np.sum(policy[:2] * np.log(policy[:2] / reference[:2]))
  assert report.kl_floor(1.0, 0.2) == pytest.approx(kl)


def test_round_trip(tmp_path):
  rows = [
    report.summarise(samples(), method="reference"),
    report.summarise(
      samples(),
      method="qsharp",
      eta=0.1,
      round_index=1,
      reference_pass_at_1=0.0,
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
  # Infinite floor: the reference never is right.
  assert read["rows"][1]["kl_floor"] is None
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
  assert sorted(p.name for p in folder.iterdir()) == [
    "report.json",
    "report.md",
  ]


def test_numbers_that_are_not_finite_become_null(tmp_path):
  row = {"method": "cd", "kl": math.nan, "x": np.array([1.0, math.inf])}
  report.write(document([row]), tmp_path)
  (read,) = json.loads((tmp_path / "report.json").read_text())["rows"]
  assert read == {"method": "cd", "kl": None, "x": [1.0, None]}


def test_markdown(tmp_path):
  rows = [
    report.summarise(samples(), method="reference"),
    report.summarise(
      samples(),
      method="qsharp",
      eta=0.1,
      reference_pass_at_1=0.1,
      selected=True,
      extra={"forwards": 3, "note": "a|b"},
    ),
  ]
  report.write(document(rows), tmp_path)
  lines = (tmp_path / "report.md").read_text().splitlines()
  assert lines[0] == "# e (v)"
  table = [line for line in lines if line.startswith("|")]
  assert len(table) == 4
  assert "| kl / floor |" in table[0] and "| forwards |" in table[0]
  assert "| **0.1** |" in table[3] and "**" not in table[2]
  assert "| 2 x 8 | 0.1875 [0, 0.375] |" in table[3]
  assert f"| 7.5 / {rows[1].kl_floor:.4g} |" in table[3]
  assert "a\\|b" in table[3]
  bars = [line.replace("\\|", "").count("|") for line in table]
  assert len(set(bars)) == 1
  assert "Seconds: train 1.5, total 2." in lines
  assert "Versions: python 3, jax –." in lines
  for name in ("pass@1", "maj1@8", "pass@8", "kl / floor", "kl filtered"):
    assert any(line.startswith(f"- **{name}**: ") for line in lines)


def test_a_missing_part_is_named(tmp_path):
  whole = document([])
  del whole["seconds"]
  with pytest.raises(InputError, match="got no seconds"):
    report.write(whole, tmp_path)


def test_an_extra_column_cannot_hide_a_fixed_one():
  row = report.summarise(samples(), method="cd", extra={"kl": 0.0})
  with pytest.raises(InputError, match="kl"):
    row.to_dict()


def test_a_failed_write_leaves_the_old_report(tmp_path):
  report.write(document([]), tmp_path)
  before = (tmp_path / "report.json").read_text()
  with pytest.raises(TypeError):
    report.write(document([{"method": object()}]), tmp_path)
  assert (tmp_path / "report.json").read_text() == before
  assert len(list(tmp_path.iterdir())) == 2


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
