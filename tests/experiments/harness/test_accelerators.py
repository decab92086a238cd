"""jax is told to use the CPU only where libtpu would look for a TPU in vain."""

import os
import types

import jax
import pytest

from experiments.harness import accelerators


@pytest.fixture
def machine(monkeypatch):
  """Sets what is installed, which device files there are, the environment."""
  told = []
  monkeypatch.delenv("JAX_PLATFORMS", raising=False)
  monkeypatch.delenv("TPU_WORKER_ID", raising=False)
  monkeypatch.setattr(jax.config, "update", lambda *pair: told.append(pair))

  def make(*, files=(), has_libtpu=True, **environment):
    exist = lambda pattern: [f for f in files if f.startswith(pattern[:7])]
    monkeypatch.setattr(accelerators, "glob", types.SimpleNamespace(glob=exist))
    spec = object() if has_libtpu else None
    monkeypatch.setattr(
      accelerators.importlib.util, "find_spec", lambda name: spec
    )
    for name, value in environment.items():
      monkeypatch.setenv(name, value)
    # Undone by monkeypatch, whatever the function sets.
    chosen = os.environ.get("JAX_PLATFORMS")
    monkeypatch.setenv("JAX_PLATFORMS", "")
    if chosen is None:
      del os.environ["JAX_PLATFORMS"]
    else:
      os.environ["JAX_PLATFORMS"] = chosen
    accelerators.spare_the_search()
    return os.environ.get("JAX_PLATFORMS"), told

  return make


def test_without_any_accelerator_it_is_the_cpu(machine):
  assert machine() == ("cpu", [("jax_platforms", "cpu")])


@pytest.mark.parametrize(
  "setting",
  [
    {"files": ["/dev/accel0"]},
    {"files": ["/dev/vfio/0"]},
    {"files": ["/dev/nvidia0"]},
    {"TPU_WORKER_ID": "0"},
    {"has_libtpu": False},
  ],
)
def test_otherwise_jax_chooses(setting, machine):
  assert machine(**setting) == (None, [])


def test_a_choice_stands(machine):
  assert machine(JAX_PLATFORMS="tpu,cpu") == ("tpu,cpu", [])
