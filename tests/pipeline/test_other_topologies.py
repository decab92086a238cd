"""Training that goes on with another number of devices."""

import dataclasses
import logging

import jax
import numpy as np
import pytest
from oracles import decoders, players

from qsharp_jax import data, models, training
from qsharp_jax.core.errors import Preempted
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.sharding import mesh as mesh_lib
from qsharp_jax.sharding import processes
from qsharp_jax.training import events
from qsharp_jax.training import fit as fit_lib

pytestmark = pytest.mark.skipif(
  jax.device_count() != 8,
  reason=f"needs 8 devices, here are {jax.device_count()}",
)

MODEL = models.ValueModel(
  dataclasses.replace(players.CONFIG, num_layers=1), models.HeadConfig("v")
)
HOW = fit_lib.Fit(
  learning_rate=1e-2, batch_size=8, num_epochs=3, checkpoint_every=2
)


def layout(*shape):
  """A mesh of the first devices."""
  devices = jax.devices()[: int(np.prod(shape))]
  kinds = (jax.sharding.AxisType.Auto,) * 3
  return layout_lib.Layout(
    jax.make_mesh(shape, mesh_lib.AXES, axis_types=kinds, devices=devices)
  )


class Rows(fit_lib.Epochs):
  """Batches that note which steps asked for them."""

  def __init__(self):
    rng = np.random.default_rng(0)
    sequence = lambda n: data.Sequence(
      rng.integers(0, players.VOCAB, n).astype(np.int32),
      np.arange(n) > 1,
      np.full(n, rng.integers(0, 2), np.float32),
    )
    found = [sequence(int(n)) for n in rng.integers(6, 15, 24)]
    super().__init__(data.packing.pack(found, length=16), HOW)
    self.steps = []

  def __call__(self, step, params):
    self.steps.append(step)
    return super().__call__(step, params)


@pytest.fixture
def losses(monkeypatch):
  """Losses by step, as the events get them."""
  found = {}
  note = lambda _, name, value, step: (
    found.update({step: value}) if name == "loss" else None
  )
  monkeypatch.setattr(events.SummaryWriter, "add_scalar", note)
  return found


def fit(where, directory):
  """Fits on a mesh; returns parameters on the host and the steps made."""
  params = jax.device_put(decoders.params(MODEL), where.for_training(MODEL))
  batches = Rows()
  objective = training.objectives.value(MODEL, loss="bernoulli")
  with where.context():
    try:
      params = fit_lib.fit(objective, params, batches, HOW, where, directory)
    except Preempted:
      params = None
  return jax.device_get(params), batches.steps


def wants_it_back_after(monkeypatch, num_steps):
  looks = iter(range(1, 1000))
  look = lambda: next(looks) >= num_steps
  monkeypatch.setattr(processes.termination, "look", look)


@pytest.mark.parametrize("shape", [(1, 2, 2), (1, 1, 1)], ids=str)
def test_goes_on_with_fewer_devices(tmp_path, monkeypatch, losses, shape):
  wanted, steps = fit(layout(2, 2, 2), tmp_path / "whole")
  assert len(steps) > 6
  whole = dict(losses)
  losses.clear()
  with monkeypatch.context() as patched:
    wants_it_back_after(patched, 3)
    assert fit(layout(2, 2, 2), tmp_path / "cut") == (None, [0, 1, 2])
  losses.clear()
  got, steps = fit(layout(*shape), tmp_path / "cut")
  assert steps[0] == 3
  assert losses.keys() == {step for step in whole if step > 3}
  for step, loss in losses.items():
    np.testing.assert_allclose(loss, whole[step], rtol=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), got, wanted
  )


def test_falls_back_where_the_newest_checkpoint_is_damaged(
  tmp_path, monkeypatch, caplog
):
  with monkeypatch.context() as patched:
    wants_it_back_after(patched, 3)
    fit(layout(2, 2, 2), tmp_path)
  newest = tmp_path / "checkpoints" / "3"
  arrays = (newest / "state" / "d").iterdir()
  largest = max(arrays, key=lambda path: path.stat().st_size)
  largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
  with caplog.at_level(logging.WARNING):
    _, steps = fit(layout(1, 2, 2), tmp_path)
  assert steps[0] == 2
  assert str(newest) in caplog.text
