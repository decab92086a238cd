"""Few of the rows: the wanted ones, read and put back where they were."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from qsharp_jax.generate import subset
from qsharp_jax.sharding import mesh as mesh_lib

WANTED = jnp.array([False, True, False, False, True, True])


def test_wanted_rows_come_first():
  rows = subset.few(WANTED)
  table = jnp.arange(12).reshape(6, 2)
  found = rows.take({"x": table, "none": None})
  np.testing.assert_array_equal(found["x"], table[np.array([1, 4, 5, 0])])
  assert found["none"] is None


def test_what_is_put_back_lies_where_it_was():
  rows = subset.few(WANTED)
  table = jnp.arange(6.0)
  changed = rows.put(table, -rows.take(table))
  np.testing.assert_array_equal(changed, [0, -1, 2, 3, -4, -5])


@pytest.mark.parametrize(
  ("num_rows", "expected"), [(1, 1), (3, 3), (8, 4), (32, 4), (33, 5), (64, 8)]
)
def test_there_are_few(num_rows, expected):
  rows = subset.few(jnp.arange(num_rows) < 2)
  assert len(rows.take(jnp.arange(num_rows))) == expected


@pytest.mark.parametrize("num_wanted", [0, 1, 16])
def test_each_device_takes_some_of_its_own_rows(num_wanted):
  mesh = jax.make_mesh((2, 2, 2), mesh_lib.AXES)
  rules = (("batch", ("data", "fsdp")),)
  with jax.set_mesh(mesh), nn.logical_axis_rules(rules):
    find = jax.jit(lambda wanted: subset.few(wanted).take(jnp.arange(32)))
    found = np.asarray(find(jnp.arange(32) < num_wanted))
  # Eight rows on each of four devices.
  np.testing.assert_array_equal(found // 8, np.repeat(np.arange(4), 4))
