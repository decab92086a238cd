"""A slice of accelerators that need not be there."""

import dataclasses
import importlib.util
import math
import os
import re

import jax
from jax.experimental import topologies
from jax.sharding import AxisType, Mesh

from launch.aot import chips
from qsharp_jax.core.errors import InputError
from qsharp_jax.sharding import mesh as mesh_lib

# So that the TPU compiler does not look for a TPU, nor writes of it.
_ALONE = {
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_ACCELERATOR_TYPE": "v5litepod-8",
  "TPU_MIN_LOG_LEVEL": "3",
  "TPU_STDERR_LOG_LEVEL": "3",
  "TPU_LOG_DIR": "disabled",
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}


@dataclasses.dataclass(frozen=True)
class Slice:
  """Devices to compile for.

  Attributes:
    name: as it was asked for.
    chip: of which they are, or for which they stand.
    devices: of jax.
  """

  name: str
  chip: chips.Chip
  devices: tuple[jax.Device, ...]

  @property
  def is_estimate(self) -> bool:
    """Whether another compiler stands in for the chip's own."""
    return self.chip.compiler != "tpu"

  def mesh(self, shape: tuple[int, ...]) -> Mesh:
    """A mesh of all devices; one 0 in the shape stands for what is left.

    Raises:
      InputError: the shape does not fit the number of devices.
    """
    rest = math.prod(size for size in shape if size)
    shape = tuple(size or len(self.devices) // rest for size in shape)
    if len(shape) != 3 or math.prod(shape) != len(self.devices):
      raise InputError(
        f"config.mesh is {shape}; expected three sizes (data, fsdp, tensor) "
        f"whose product is the {len(self.devices)} devices of {self.name}"
      )
    return jax.make_mesh(
      shape,
      mesh_lib.AXES,
      axis_types=(AxisType.Auto,) * 3,
      devices=self.devices,
    )


def find(topology: str) -> Slice:
  """The slice of a name such as v5e:2x4, or h100:8.

  To be called before the first use of a device: jax is told to look for none.

  Raises:
    InputError: no such slice, or no compiler for it.
  """
  match = re.fullmatch(r"(\w+):(\d+(?:x\d+)*)", topology)
  if not match:
    raise InputError(
      f"--topology is {topology!r}; expected CHIP:SHAPE, such as v5e:2x4, "
      "v5p:2x2x4 or h100:8"
    )
  chip = chips.find(match[1])
  num_chips = math.prod(map(int, match[2].split("x")))
  jax.config.update("jax_platforms", "cpu")
  if chip.compiler == "tpu":
    return Slice(topology, chip, _tpus(topology))
  if jax.config.jax_num_cpu_devices < num_chips:
    jax.config.update("jax_num_cpu_devices", num_chips)
  return Slice(topology, chip, tuple(jax.devices("cpu")[:num_chips]))


def _tpus(topology: str) -> tuple[jax.Device, ...]:
  if importlib.util.find_spec("libtpu") is None:
    raise InputError(
      f"{topology} needs the TPU compiler, and libtpu is not installed: "
      "pip install 'qsharp-jax[tpu]'"
    )
  for name, value in _ALONE.items():
    os.environ.setdefault(name, value)
  try:
    found = topologies.get_topology_desc(platform="tpu", topology_name=topology)
  except jax.errors.JaxRuntimeError as error:
    reason = str(error).splitlines()[0]
    raise InputError(
      f"the TPU compiler knows no topology {topology!r} ({reason}); expected "
      "one such as v5e:2x4, v5e:4x4, v5e:8x8, v5p:2x2x4 or v6e:4x4"
    ) from error
  return tuple(found.devices)
