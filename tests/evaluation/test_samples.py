import dataclasses

import numpy as np
import pytest
from oracles.samples import samples

from qsharp_jax.core.errors import InputError
from qsharp_jax.evaluation import summary


def test_unequal_samples_per_question_are_refused():
  uneven = dataclasses.replace(samples(), question_ids=["a"] * 9 + ["b"] * 7)
  with pytest.raises(InputError, match="between 7 and 9 samples"):
    summary.summarise(uneven, method="cd")


def test_a_mean_of_what_is_known():
  own = samples()  # of the questions a and b, in turns
  kl = np.full(16, np.nan)
  kl[[0, 8]], kl[5] = (1.0, 2.0), 4.0
  assert own.mean_known(kl).tolist() == [1.5, 4.0]
  kl[5] = np.nan
  np.testing.assert_array_equal(own.mean_known(kl), [1.5, np.nan])
  exact = own.mean_known(own.kl)
  np.testing.assert_allclose(exact, own.by_question(own.kl).mean(axis=1))


def test_arrays_of_different_lengths_are_refused():
  with pytest.raises(InputError, match="'kl': 3"):
    dataclasses.replace(samples(), kl=np.zeros(3))
