"""Saving, resuming, other meshes, and damaged directories."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import struct
from jax.sharding import NamedSharding, PartitionSpec, SingleDeviceSharding

from qsharp_jax.checkpoint import train_state
from qsharp_jax.core import errors

OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-2))


@struct.dataclass
class State:
  step: jax.Array
  params: dict
  opt_state: optax.OptState
  key: jax.Array
  old_key: jax.Array


def make(seed=0, width=8):
  rng = np.random.default_rng(seed)
  params = {
    "w": jnp.asarray(rng.normal(size=(width, 4)), jnp.float32),
    "half": jnp.asarray(rng.normal(size=(3,)), jnp.bfloat16),
  }
  return State(
    step=jnp.zeros((), jnp.int32),
    params=params,
    opt_state=OPTIMIZER.init(params),
    key=jax.random.key(seed),
    old_key=jax.random.PRNGKey(seed),
  )


@jax.jit
def advance(state):
  """A step with noise, so that keys and moments matter to what follows."""
  key, noise = jax.random.split(state.key)
  grads = jax.tree.map(
    lambda p: p + jax.random.normal(noise, p.shape, p.dtype), state.params
  )
  updates, opt_state = OPTIMIZER.update(grads, state.opt_state, state.params)
  return state.replace(
    step=state.step + 1,
    params=optax.apply_updates(state.params, updates),
    opt_state=opt_state,
    key=key,
  )


def target(state, sharding=None):
  sharding = sharding or SingleDeviceSharding(jax.devices()[0])
  return train_state.abstract(state, jax.tree.map(lambda _: sharding, state))


def bits(x):
  if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
    x = jax.random.key_data(x)
  return np.asarray(x)


def assert_same(got, wanted):
  assert jax.tree.structure(got) == jax.tree.structure(wanted)
  for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
    assert a.dtype == b.dtype
    np.testing.assert_array_equal(bits(a), bits(b))


def write(directory, steps, every=1):
  """One checkpoint per step, the seed of its state being the step."""
  with train_state.Checkpointer(directory, keep=9, every=every) as saver:
    for step in steps:
      assert saver.save(step, make(step), {"examples": 10 * step})


def test_round_trip_of_every_kind_of_leaf(tmp_path):
  state = advance(advance(make()))
  meta = {"examples": 64, "config": "ab12"}
  with train_state.Checkpointer(tmp_path, keep=1, every=1) as saver:
    assert saver.save(2, state, meta)
    got, got_meta, step = saver.restore_latest(target(state))
  assert_same(got, state)
  assert (got_meta, step) == (meta, 2)


def test_fresh_directory_gives_none(tmp_path):
  with train_state.Checkpointer(tmp_path / "new", keep=1, every=1) as saver:
    assert saver.restore_latest(target(make())) is None


def test_resumed_run_equals_uninterrupted(tmp_path):
  wanted = make()
  for _ in range(6):
    wanted = advance(wanted)
  state = make()
  with train_state.Checkpointer(tmp_path, keep=2, every=3) as saver:
    for step in range(1, 5):
      state = advance(state)
      saver.save(step, state, {})
  with train_state.Checkpointer(tmp_path, keep=2, every=3) as saver:
    state, _, step = saver.restore_latest(target(make(seed=99)))
  assert step == 3
  for _ in range(step, 6):
    state = advance(state)
  assert_same(state, wanted)


def test_every_keep_and_force(tmp_path):
  with train_state.Checkpointer(tmp_path, keep=2, every=3) as saver:
    begun = [saver.save(step, make(), {}) for step in range(1, 11)]
    assert [i + 1 for i, b in enumerate(begun) if b] == [3, 6, 9]
    assert saver.save(10, make(), {}, force=True)
    assert not saver.save(10, make(), {}, force=True)
  assert sorted(p.name for p in tmp_path.iterdir()) == ["10", "9"]


@pytest.mark.skipif(jax.device_count() != 8, reason="needs 8 devices")
def test_restores_onto_another_mesh(tmp_path):
  mesh = lambda shape: jax.make_mesh(shape, ("a", "b"))
  rows = lambda shape, *spec: NamedSharding(mesh(shape), PartitionSpec(*spec))
  w = jax.device_put(jnp.arange(32.0).reshape(8, 4), rows((4, 2), "a", "b"))
  with train_state.Checkpointer(tmp_path, keep=1, every=1) as saver:
    saver.save(1, {"w": w}, {})
    for place in [
      rows((2, 4), "a", "b"),
      rows((8, 1), None, "b"),
      SingleDeviceSharding(jax.devices()[3]),
    ]:
      got, _, _ = saver.restore_latest(target({"w": w}, place))
      assert got["w"].sharding == place
      np.testing.assert_array_equal(got["w"], np.arange(32.0).reshape(8, 4))


def test_half_written_checkpoint_is_ignored_and_replaced(tmp_path):
  write(tmp_path, [1, 2])
  (tmp_path / "3.orbax-checkpoint-tmp" / "state").mkdir(parents=True)
  with train_state.Checkpointer(tmp_path, keep=9, every=1) as saver:
    state, meta, step = saver.restore_latest(target(make()))
    assert (meta, step) == ({"examples": 20}, 2)
    assert_same(state, make(2))
    assert saver.save(3, make(3), {})


def halve(path):
  path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def blank(path):
  """What a power cut leaves of a file whose blocks never reached the disk."""
  path.write_bytes(bytes(path.stat().st_size))


def largest(directory):
  files = [path for path in directory.rglob("*") if path.is_file()]
  return max(files, key=lambda path: path.stat().st_size)


DAMAGED = {
  "arrays": largest,
  "manifest": lambda directory: directory / "state" / "manifest.ocdbt",
  "tree": lambda directory: directory / "state" / "_METADATA",
  "meta": lambda directory: directory / "meta" / "metadata",
}


@pytest.mark.parametrize("damage", [halve, blank, pathlib.Path.unlink])
@pytest.mark.parametrize("choose", DAMAGED.values(), ids=DAMAGED)
def test_damaged_checkpoint_falls_back(tmp_path, damage, choose, caplog):
  # Wide enough that its values lie in a file of their own.
  state = lambda seed: make(seed, width=256)
  with train_state.Checkpointer(tmp_path, keep=9, every=1) as saver:
    for step in [1, 2]:
      saver.save(step, state(step), {"examples": 10 * step})
  damage(choose(tmp_path / "2"))
  with train_state.Checkpointer(tmp_path, keep=9, every=1) as saver:
    got, meta, step = saver.restore_latest(target(state(0)))
    assert (meta, step) == ({"examples": 10}, 1)
    assert_same(got, state(1))
    assert any(str(tmp_path / "2") in message for message in caplog.messages)
    # The run reaches the damaged step again, and must be able to save it.
    assert saver.save(2, state(5), {"examples": 20})
    assert_same(saver.restore_latest(target(state(0)))[0], state(5))
  assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2", "2.damaged"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
  """A directory with one checkpoint, and every file's content."""
  directory = tmp_path_factory.mktemp("saved")
  write(directory, [1])
  files = [path for path in directory.rglob("*") if path.is_file()]
  return directory, {path: path.read_bytes() for path in sorted(files)}


def test_every_flipped_bit_is_noticed_or_harmless(saved):
  directory, contents = saved
  assert directory / "1" / "digests.json" in contents
  sizes = np.array([len(content) for content in contents.values()])
  rng, paths, noticed = np.random.default_rng(0), list(contents), 0
  for i in range(200):
    # Half of the bits by size, half by file: most files are small.
    weights = sizes if i % 2 else sizes > 0
    path = paths[rng.choice(len(paths), p=weights / weights.sum())]
    damaged = bytearray(contents[path])
    damaged[rng.integers(len(damaged))] ^= 1 << rng.integers(8)
    path.write_bytes(damaged)
    try:
      with train_state.Checkpointer(directory, keep=9, every=1) as saver:
        got, meta, step = saver.restore_latest(target(make()))
    except errors.InputError as error:
      noticed += 1
      assert str(directory / "1") in str(error)
      assert len(str(error).splitlines()) == 1
    else:
      assert (meta, step) == ({"examples": 10}, 1)
      assert_same(got, make(1))
    path.write_bytes(contents[path])
  assert noticed > 150


def test_a_checkpoint_without_digests_is_read_as_before(tmp_path):
  write(tmp_path, [1])
  (tmp_path / "1" / "digests.json").unlink()
  with train_state.Checkpointer(tmp_path, keep=9, every=1) as saver:
    assert_same(saver.restore_latest(target(make()))[0], make(1))


def test_a_flipped_bit_falls_back(tmp_path, caplog):
  write(tmp_path, [1, 2])
  file = largest(tmp_path / "2")
  content = bytearray(file.read_bytes())
  content[len(content) // 2] ^= 1
  file.write_bytes(content)
  with train_state.Checkpointer(tmp_path, keep=9, every=1) as saver:
    got, _, step = saver.restore_latest(target(make()))
    assert step == 1
    assert_same(got, make(1))
    assert any(str(file) in message for message in caplog.messages)
  assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2.damaged"]


def test_state_of_another_shape_is_refused_and_nothing_renamed(tmp_path):
  write(tmp_path, [1, 2])
  with train_state.Checkpointer(tmp_path, keep=9, every=1) as saver:
    with pytest.raises(errors.InputError, match=r"\[1, 2\].*resume") as error:
      saver.restore_latest(target(make(width=6)))
  assert "\n" not in str(error.value)
  assert sorted(p.name for p in tmp_path.iterdir()) == ["1", "2"]


def test_fresh_run_in_a_used_directory_is_refused(tmp_path):
  write(tmp_path, [4])
  with train_state.Checkpointer(tmp_path, keep=9, every=1) as saver:
    with pytest.raises(errors.InputError, match="already holds step 4"):
      saver.save(1, make(), {})


def test_numbers_below_one_are_refused(tmp_path):
  for keep, every in [(0, 1), (1, 0)]:
    with pytest.raises(errors.InputError, match="at least 1"):
      train_state.Checkpointer(tmp_path, keep=keep, every=every)


@pytest.mark.parametrize("end", ["wait", "close", "restore_latest"])
def test_failed_background_write_is_raised(tmp_path, end):
  saver = train_state.Checkpointer(tmp_path, keep=9, every=1)
  saver.save(1, {"x": jnp.ones(2)}, {"no JSON": object()})
  arguments = [{}] if end == "restore_latest" else []
  with pytest.raises(TypeError, match="serializable"):
    getattr(saver, end)(*arguments)
  assert not (tmp_path / "1").exists()
  saver.close()
