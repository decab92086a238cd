"""What accelerators can do at most, by their vendors' published figures.

TPUs: the system architecture page of each version in the Cloud TPU
documentation. GPUs: NVIDIA's data sheets of the SXM versions, dense figures.
"""

import dataclasses

from qsharp_jax.core.errors import InputError


@dataclasses.dataclass(frozen=True)
class Chip:
  """Peak figures of one chip."""

  name: str
  flops: float  # a second, bfloat16
  hbm_bytes: float
  hbm_bandwidth: float  # bytes a second
  link_bandwidth: float  # bytes a second that leave a chip, all links together
  compiler: str  # platform whose compiler stands in: itself, or cpu


def _tpu(name: str, *figures: float) -> Chip:
  tera, giga, giga_a_second, link = figures
  return Chip(
    name, tera * 1e12, giga * 1e9, giga_a_second * 1e9, link * 1e9, "tpu"
  )


def _gpu(name: str, *figures: float) -> Chip:
  return dataclasses.replace(_tpu(name, *figures), compiler="cpu")


# TFLOP/s, GB, GB/s, GB/s. Vendors publish links in both directions together;
# what leaves a chip is half of that.
CHIPS = {
  chip.name: chip
  for chip in (
    _tpu("v5e", 197, 16, 819, 200),
    _tpu("v5p", 459, 95, 2765, 600),
    _tpu("v6e", 918, 32, 1638, 400),
    _gpu("a100", 312, 80, 2039, 300),
    _gpu("h100", 989, 80, 3350, 450),
    _gpu("h200", 989, 141, 4800, 450),
  )
}


def find(name: str) -> Chip:
  """The chip of a name, or an InputError that lists the names."""
  if name not in CHIPS:
    raise InputError(
      f"there is no chip {name!r}; expected one of {', '.join(CHIPS)}, as in "
      "--topology=v5e:2x4 or h100:8"
    )
  return CHIPS[name]
