"""Training that is stopped and run again ends where it would have ended."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from qsharp_jax import data, sharding
from qsharp_jax.core.errors import InputError
from qsharp_jax.ops import losses as losses_lib
from qsharp_jax.sharding import mesh as mesh_lib
from qsharp_jax.training import fit as fit_lib

BATCH = data.Loader.batch
HOW = fit_lib.Fit(
  learning_rate=0.01,
  schedule="cosine",
  warmup_steps=2,
  batch_size=8,
  num_microbatches=1,
  num_epochs=4,
  max_length=12,
  checkpoint_every=3,
  seed=5,
)


def rows(num=20):
  rng = np.random.default_rng(0)
  return data.packing.pad(
    [
      data.Sequence(
        rng.integers(0, 11, 9).astype(np.int32),
        np.arange(9) >= 2,
        np.full(9, i % 2, np.float32),
      )
      for i in range(num)
    ],
    length=12,
  )


@pytest.fixture(scope="module")
def layout():
  return sharding.Layout(mesh_lib.make_mesh((4, 2, 1)))


class Stopped(Exception):
  pass


def bag_of_tokens(params, batch):
  """Bernoulli loss of a distribution that knows each token alone."""
  hidden = jnp.tanh(params["table"][batch["tokens"]])
  losses = losses_lib.bernoulli(hidden @ params["out"], batch["labels"])
  weights = losses_lib.sequence_weights(batch["mask"], batch["segments"])
  return losses_lib.weighted_sum(losses, weights)


def start(layout):
  rng = np.random.default_rng(1)
  place = lambda x, *spec: jax.device_put(
    x.astype(np.float32), NamedSharding(layout.mesh, PartitionSpec(*spec))
  )
  return {
    "table": place(rng.normal(size=(11, 8)), None, "fsdp"),
    "out": place(rng.normal(size=8)),
  }


def fit(layout, directory, patch, *, stop_at=None, seen=None, how=HOW):
  """One attempt; it may be stopped before a step."""

  def batch(loader, step):
    if seen is not None:
      seen.append(step)
    if step == stop_at:
      raise Stopped
    return BATCH(loader, step)

  patch.setattr(data.Loader, "batch", batch)
  with layout.context():
    return jax.device_get(
      fit_lib.fit(
        bag_of_tokens,
        start(layout),
        fit_lib.Epochs(rows(), how),
        how,
        layout,
        directory,
      )
    )


@pytest.fixture
def uninterrupted(layout, tmp_path_factory, monkeypatch):
  return fit(layout, tmp_path_factory.mktemp("whole"), monkeypatch)


@pytest.mark.parametrize("stop_at", [1, 7])
def test_resumes_bit_for_bit(
  stop_at, layout, tmp_path, monkeypatch, uninterrupted
):
  with pytest.raises(Stopped):
    fit(layout, tmp_path, monkeypatch, stop_at=stop_at)
  seen = []
  resumed = fit(layout, tmp_path, monkeypatch, seen=seen)
  # 3 steps an epoch; from the last multiple of `checkpoint_every`.
  assert seen == list(range(stop_at // 3 * 3, 12))
  jax.tree.map(np.testing.assert_array_equal, resumed, uninterrupted)


def test_a_finished_fit_only_reads(
  layout, tmp_path, monkeypatch, uninterrupted
):
  fit(layout, tmp_path, monkeypatch)
  seen = []
  again = fit(layout, tmp_path, monkeypatch, seen=seen)
  assert seen == []
  jax.tree.map(np.testing.assert_array_equal, again, uninterrupted)


def test_every_parameter_moves(layout, uninterrupted):
  for name, before in start(layout).items():
    assert not np.allclose(before, uninterrupted[name])


def test_events_hold_a_number_for_every_step(layout, tmp_path, monkeypatch):
  fit(layout, tmp_path, monkeypatch)
  (events,) = (tmp_path / "events").iterdir()
  assert events.read_bytes().count(b"grad_norm") == 12


# Losses stay finite here: found before a checkpoint, or else at the end.
@pytest.mark.parametrize("every, found_at", [(2, 2), (100, 12)])
def test_a_fit_that_diverges_says_where_and_what_to_lower(
  every, found_at, layout, tmp_path, monkeypatch
):
  how = dataclasses.replace(
    HOW,
    learning_rate=1e30,
    schedule="constant",
    warmup_steps=0,
    weight_decay=0.0,
    checkpoint_every=every,
  )
  with pytest.raises(InputError) as refused:
    fit(layout, tmp_path, monkeypatch, how=how)
  message = str(refused.value)
  assert f"norm of the weights after step {found_at} is inf" in message
  assert "learning_rate (1e+30)" in message and str(tmp_path) in message
  assert "\n" not in message
  saved = [x.name for x in (tmp_path / "checkpoints").iterdir()]
  assert not any(name.isdigit() for name in saved)
