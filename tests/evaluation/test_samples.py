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


def test_arrays_of_different_lengths_are_refused():
  with pytest.raises(InputError, match="'kl': 3"):
    dataclasses.replace(samples(), kl=np.zeros(3))
