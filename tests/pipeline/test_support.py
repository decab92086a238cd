"""The range of rewards, rounded outwards."""

import pytest

from qsharp_jax.pipeline import support


@pytest.mark.parametrize(
  ("low", "high", "expected"),
  [
    (0.0, 1.0, (-0.1, 1.1)),
    (-2.5, 0.37, (-2.8, 0.7)),
    (0.37, 0.37, (0.2, 0.5)),
    (-40.0, 60.0, (-50.0, 70.0)),
    (0.0, 0.0, (-0.1, 0.1)),
    (1e-5, 3e-5, (8e-6, 3.2e-5)),
  ],
)
def test_a_range_gets_a_little_wider_and_round(low, high, expected):
  found = support.rounded(low, high)
  assert found == pytest.approx(expected)
  assert found[0] < low <= high < found[1]
