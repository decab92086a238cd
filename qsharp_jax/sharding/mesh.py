"""The mesh of all devices, with the same three axes on every machine."""

import math
from collections.abc import Sequence

import jax
from jax.sharding import AxisType

from qsharp_jax.core.errors import InputError

# data: rows only. fsdp: rows, and each weight cut along its model width.
# tensor: heads, vocabulary and hidden channels; put the fastest links here.
AXES = ("data", "fsdp", "tensor")


def make_mesh(shape: tuple[int, int, int] | None = None) -> jax.sharding.Mesh:
  """A mesh over all devices of all processes.

  The axes are always the same three, of size 1 where unused: one program for
  one CPU, one GPU and a pod.

  Args:
    shape: sizes of the axes data, fsdp and tensor. None puts every device on
      data.

  Returns:
    The mesh. Its axes are of the type Auto: linen's logical constraints fail
    on Explicit ones, the default of `jax.make_mesh`.

  Raises:
    InputError: the sizes do not multiply to the number of devices.
  """
  num_devices = jax.device_count()
  shape = (num_devices, 1, 1) if shape is None else tuple(shape)
  fits = len(shape) == 3 and min(shape) > 0 and math.prod(shape) == num_devices
  if not fits:
    raise InputError(
      f"mesh shape is {shape}, expected three sizes (data, fsdp, tensor) whose "
      f"product is the {num_devices} devices, e.g. ({num_devices}, 1, 1)"
    )
  return jax.make_mesh(shape, AXES, axis_types=(AxisType.Auto,) * len(AXES))


def of_devices(devices: Sequence[jax.Device]) -> jax.sharding.Mesh:
  """A mesh over some devices, which share rows and cut every weight."""
  return jax.make_mesh(
    (1, len(devices), 1),
    AXES,
    axis_types=(AxisType.Auto,) * len(AXES),
    devices=list(devices),
  )
