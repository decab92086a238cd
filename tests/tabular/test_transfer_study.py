import pytest

from qsharp_jax.tabular import transfer_study

ETA = transfer_study.ETA


@pytest.fixture(scope="module")
def found():
  return transfer_study.study(3, 0, betas=(ETA / 2, 2 * ETA, 1e4))


def test_only_qsharp_is_optimal(found):
  without = found["without"]
  assert without["qsharp"] == pytest.approx(0, abs=1e-5)
  assert without["reference"] > without["cd"] > 0.01


def test_a_baseline_that_was_not_aligned_leaves_what_cd_leaves(found):
  weak = found["rows"][-1]
  for name in ("direct", "direct_wrong", "indirect", "direct_on_reference"):
    assert weak[name] == pytest.approx(found["without"]["cd"], abs=1e-3)


def test_importance_weights_mend_the_wrong_baselines_values(found):
  for row in found["rows"][:2]:
    assert all(gap > 0 for gap in row.values())
    mended = row["indirect_on_reference"]
    assert mended == pytest.approx(row["direct_on_reference"], rel=1e-3)
    assert mended < row["direct_wrong_on_reference"]


def test_twice_eta_is_near_the_best_alignment(found):
  strong, best, _ = (row["direct_on_reference"] for row in found["rows"])
  assert best < strong and best < found["without"]["cd"] / 3
