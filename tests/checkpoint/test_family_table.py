"""Released models of every family: their files are read, their sizes right."""

import math

import jax
import numpy as np
import pytest
from flax import linen as nn
from oracles.published_models import PUBLISHED

from qsharp_jax import models
from qsharp_jax.checkpoint import families, family_table


def test_every_family_has_a_released_model():
  found = {raw["model_type"] for raw, _ in PUBLISHED.values()}
  assert found == set(family_table.FAMILIES)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_released_model_has_its_number_of_parameters(name):
  raw, expected = PUBLISHED[name]
  model = models.LanguageModel(families.from_hf(raw))
  one = np.zeros((1, 1), np.int32)
  with nn.logical_axis_rules(()):
    shapes = jax.eval_shape(model.init, jax.random.key(0), one, one)
  found = sum(math.prod(x.shape) for x in jax.tree.leaves(nn.unbox(shapes)))
  assert abs(found / expected - 1) < 1e-3
