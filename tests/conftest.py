"""Settings of the whole test run, made before the first array exists."""

import os

import jax
import pytest

# Eight devices on one CPU, so that sharding is exercised wherever tests run.
if "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
  jax.config.update("jax_num_cpu_devices", 8)


def pytest_configure(config):
  # Our own warnings are errors; those of dependencies are theirs.
  config.addinivalue_line("filterwarnings", r"error:::qsharp_jax(\.|$)")


@pytest.fixture(params=["eager", "jit"])
def staged(request):
  """Runs a test twice: with functions as they are, and compiled.

  Results come as numpy arrays: taking a jax array apart compiles programs.
  """

  def stage(function):
    run = jax.jit(function) if request.param == "jit" else function
    return lambda *arguments: jax.device_get(run(*arguments))

  return stage
