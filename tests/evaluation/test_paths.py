"""Accuracy along a path, by hand."""

import numpy as np
import pytest

from qsharp_jax.evaluation import paths


def test_every_place_is_counted_by_itself():
  extracted = ["5,4,7", "5,9,7", "5", None, "1,2,3,4", "5,4,7,8"]
  answers = ["5,4,7", "5,4,7", "5,4,7", "5,4,7", "1,2,3,4", "5,4,7"]
  np.testing.assert_allclose(
    paths.per_position(extracted, answers), [5 / 6, 3 / 6, 4 / 6, 1]
  )


def test_numbers_are_compared_whole():
  np.testing.assert_array_equal(paths.per_position(["1,12"], ["11,12"]), [0, 1])


@pytest.mark.parametrize(("extracted", "answers"), [([], []), (["1"], [])])
def test_wrong_lengths_are_refused(extracted, answers):
  with pytest.raises(ValueError, match="as many"):
    paths.per_position(extracted, answers)
