import pytest

from qsharp_jax.core.errors import InputError
from qsharp_jax.rewards import graders, grading

FINE, FAILED = graders.Grade(None, None, 0.5), graders.failed("no number")


def test_failures_are_counted_by_split():
  failures = grading.Failures("mine:reward")
  failures.add([FINE, FAILED], "train")
  failures.add([FAILED] * 3, "test")
  failures.add([FINE], "train")
  counts = {k: (c.graded, c.failed) for k, c in failures.counts.items()}
  assert counts == {"train": (3, 1), "test": (3, 3)}


def test_too_large_a_share_stops_once_enough_are_seen():
  failures = grading.Failures("mine:reward", 0.5)
  failures.add([FAILED] * 19, "train")  # too few to say
  with pytest.raises(InputError) as error:
    failures.add([FAILED, FINE], "train")
  assert "'mine:reward' failed for 20 of 21 samples of train" in str(
    error.value
  )
  assert "no number" in str(error.value)
  failures.add([FINE] * 20 + [FAILED] * 20, "test")


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_a_share_is_between_0_and_1(share):
  with pytest.raises(InputError, match="expected 0 to 1"):
    grading.Failures("x", share)
