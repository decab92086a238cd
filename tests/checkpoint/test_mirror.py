"""Checkpoints in a bucket that Orbax cannot write to."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracles import buckets

from qsharp_jax.checkpoint import mirror, train_state
from qsharp_jax.core import places
from qsharp_jax.core.errors import InputError

PLACE = "s3://bucket/run/checkpoints"


@pytest.fixture
def bucket(tmp_path, monkeypatch):
  return buckets.use(tmp_path / "cloud", monkeypatch) / "run" / "checkpoints"


def write(steps):
  with train_state.Checkpointer(PLACE, keep=2, every=1) as saver:
    for step in steps:
      assert saver.save(step, {"x": jnp.full(600, step)}, {"examples": step})


def restored():
  """Step and content of what the next start goes on from."""
  shape = {"x": jax.ShapeDtypeStruct((600,), jnp.int32)}
  home = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  target = train_state.abstract(shape, {"x": home})
  with train_state.Checkpointer(PLACE, keep=2, every=1) as saver:
    found = saver.restore_latest(target)
  if found is None:
    return None
  state, meta, step = found
  assert meta == {"examples": step}
  np.testing.assert_array_equal(state["x"], np.full(600, step))
  return step


def names(bucket):
  return sorted(path.name for path in bucket.iterdir())


def test_a_new_process_goes_on_from_the_newest(bucket):
  assert restored() is None
  write([1, 2, 3])
  assert names(bucket) == ["2", "3"]
  assert restored() == 3
  write([4])
  assert names(bucket) == ["3", "4"] and restored() == 4


def test_one_without_its_last_object_was_not_written(bucket):
  write([1, 2])
  (bucket / "2" / "digests.json").unlink()
  (bucket / "2" / "of_another_attempt").write_text("x")
  assert restored() == 1
  write([2])
  assert restored() == 2
  assert not (bucket / "2" / "of_another_attempt").exists()


def test_a_damaged_one_is_named_and_set_aside(bucket, caplog):
  write([1, 2])
  state = (bucket / "2" / "state").rglob("*")
  files = [path for path in state if path.is_file()]
  largest = max(files, key=lambda path: path.stat().st_size)
  largest.write_bytes(largest.read_bytes()[:-1])
  assert restored() == 1
  assert f"cannot use checkpoint 2: {PLACE}/2 " in caplog.text
  assert names(bucket) == ["1", "2.damaged"]


def test_a_failed_copy_is_raised(bucket, monkeypatch):
  def upload(folder, directory):
    raise OSError("no network")

  monkeypatch.setattr(places, "upload", upload)
  with pytest.raises(OSError, match="no network"):
    write([1])
  monkeypatch.undo()


def test_many_processes_are_refused_but_where_orbax_writes(monkeypatch):
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  with pytest.raises(InputError, match="s3://b/c.* 2 processes.* gs://"):
    mirror.is_needed(places.epath.Path("s3://b/c"))
  assert not mirror.is_needed(places.epath.Path("gs://b/c"))
  assert not mirror.is_needed(places.path("/tmp/run"))
