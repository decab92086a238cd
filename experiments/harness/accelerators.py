"""Which accelerators this machine has, told by their device files."""

import glob
import importlib.util
import os
import sys

_TPU_FILES = ("/dev/accel[0-9]*", "/dev/vfio/[0-9]*")
_GPU_FILES = ("/dev/nvidia*", "/dev/dxg", "/dev/kfd")


def has_tpu() -> bool:
  """Whether this is a host of TPU chips."""
  return "TPU_WORKER_ID" in os.environ or _exist(_TPU_FILES)


def spare_the_search() -> None:
  """Tells jax to use the CPU where there is nothing else and libtpu is there.

  `launch.aot` and its tests need libtpu on machines without a TPU. There jax
  would start it first of all, which takes a lock on the whole machine, asks the
  network for other hosts and prints a page of complaints. A setting of
  JAX_PLATFORMS stands.
  """
  if (
    "JAX_PLATFORMS" in os.environ or importlib.util.find_spec("libtpu") is None
  ):
    return
  if has_tpu() or _exist(_GPU_FILES):
    return
  os.environ["JAX_PLATFORMS"] = "cpu"
  if "jax" in sys.modules:  # it has read the environment already
    sys.modules["jax"].config.update("jax_platforms", "cpu")


def _exist(patterns: tuple[str, ...]) -> bool:
  return any(glob.glob(pattern) for pattern in patterns)
