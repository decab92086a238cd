"""Meshes of all devices, and the shapes that are refused."""

import jax
import pytest
from jax.sharding import AxisType

from qsharp_jax.core import errors
from qsharp_jax.sharding import mesh as mesh_lib


def test_default_puts_all_devices_on_data():
  mesh = mesh_lib.make_mesh()
  num_devices = jax.device_count()
  assert dict(mesh.shape) == {"data": num_devices, "fsdp": 1, "tensor": 1}
  assert mesh.axis_types == (AxisType.Auto,) * 3


def test_shape_is_in_the_order_of_the_axes():
  mesh = mesh_lib.make_mesh((1, 1, jax.device_count()))
  assert mesh.shape["tensor"] == jax.device_count()


@pytest.mark.parametrize(
  "shape", [(3, 5, 7), (1, 1), (-1, -1, jax.device_count()), (0, 1, 1)]
)
def test_shape_that_does_not_fill_the_devices_is_refused(shape):
  with pytest.raises(errors.InputError, match="devices") as error:
    mesh_lib.make_mesh(shape)
  assert str(shape) in str(error.value) and "\n" not in str(error.value)


def test_some_devices_share_rows_and_every_weight():
  devices = jax.devices()[-2:]
  mesh = mesh_lib.of_devices(devices)
  assert dict(mesh.shape) == {"data": 1, "fsdp": len(devices), "tensor": 1}
  assert mesh.devices.ravel().tolist() == devices
  assert mesh.axis_types == (AxisType.Auto,) * 3
