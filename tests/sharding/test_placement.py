"""Models on eight devices against the same models on one."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from jax.sharding import PartitionSpec as P

from qsharp_jax import models
from qsharp_jax.core import errors
from qsharp_jax.sharding import mesh as mesh_lib
from qsharp_jax.sharding import placement, rules

pytestmark = pytest.mark.skipif(
  jax.device_count() != 8,
  reason=f"needs 8 devices, here are {jax.device_count()}",
)

CONFIG = models.DecoderConfig(
  vocab_size=40,
  width=16,
  num_layers=1,
  num_heads=4,
  num_kv_heads=2,
  head_width=4,
  mlp_width=24,
  max_length=16,
)
SHAPES = [(8, 1, 1), (1, 8, 1), (2, 2, 2), (1, 1, 8)]
LANGUAGE = models.LanguageModel(CONFIG)
VALUE = models.ValueModel(CONFIG, models.HeadConfig("v", 3))


def lively(variables):
  """The variables with noise, so that zero heads have gradients to compare."""
  leaves, structure = jax.tree.flatten(variables)
  rng = np.random.default_rng(0)
  noisy = [x + 0.3 * rng.normal(size=x.shape).astype(x.dtype) for x in leaves]
  return jax.tree.unflatten(structure, jax.device_get(noisy))


@pytest.fixture(scope="module")
def batch():
  rng = np.random.default_rng(1)
  positions = np.tile(np.arange(6, dtype=np.int32), (8, 1))
  tokens = rng.integers(0, CONFIG.vocab_size, positions.shape, dtype=np.int32)
  return {"tokens": tokens, "positions": positions}


def compute(language, value, batch):
  """Logits of the one model, loss and gradients of the other."""
  loss = lambda v: jnp.square(VALUE.apply(v, **batch) - 0.5).mean()
  logits, _ = LANGUAGE.apply(language, **batch)
  return logits, *jax.value_and_grad(loss)(value)


@pytest.fixture(scope="module")
def alone(batch):
  """Variables of both models and what is computed, all on one device."""
  one = jnp.asarray(batch["tokens"][:1])
  language, value = (
    lively(nn.unbox(jax.jit(m.init)(jax.random.key(i), one, one)))
    for i, m in enumerate([LANGUAGE, VALUE])
  )
  return language, value, jax.jit(compute)(language, value, batch)


def assert_close(got, wanted):
  np.testing.assert_allclose(got, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
  "shape, table",
  [(shape, "TRAINING") for shape in SHAPES] + [((2, 2, 2), "DECODING")],
  ids=str,
)
def test_sharded_equals_single_device(shape, table, batch, alone):
  *variables, wanted = alone
  table = getattr(rules, table)
  mesh = mesh_lib.make_mesh(shape)
  places = [placement.shardings(m, mesh, table) for m in [LANGUAGE, VALUE]]
  with placement.context(mesh, table):
    step = jax.jit(compute, out_shardings=(None, None, places[1]))
    got = step(
      *placement.place(variables, places),
      placement.place_batch(batch, mesh, table),
    )
  assert len(got[0].sharding.device_set) == 8
  jax.tree.map(assert_close, got, wanted)


def gathers(table):
  """All-gathers in the compiled forward pass on a (2, 2, 2) mesh."""
  mesh = mesh_lib.make_mesh((2, 2, 2))
  places = placement.shardings(LANGUAGE, mesh, table)
  spec = lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s)
  tokens = spec(
    jnp.zeros((8, 6), jnp.int32), placement.batch_sharding(mesh, table)
  )
  one = jnp.zeros((1, 1), jnp.int32)
  shapes = nn.unbox(jax.eval_shape(LANGUAGE.init, jax.random.key(0), one, one))
  with placement.context(mesh, table):
    forward = jax.jit(lambda v, t: LANGUAGE.apply(v, t, t)[0])
    compiled = forward.lower(
      jax.tree.map(spec, shapes, places), tokens
    ).compile()
  return compiled.as_text().count("all-gather(")


def test_decoding_gathers_no_weights():
  assert gathers(rules.DECODING) == 0
  assert gathers(rules.TRAINING) > 0  # the count does see them


def test_shardings_follow_the_table():
  mesh = mesh_lib.make_mesh((2, 2, 2))
  train = placement.shardings(LANGUAGE, mesh, rules.TRAINING)["params"]
  decode = placement.shardings(LANGUAGE, mesh, rules.DECODING)["params"]
  up = lambda tree: tree["backbone"]["layers_0"]["mlp"]["up"]["kernel"].spec
  key = lambda tree: tree["backbone"]["layers_0"]["attention"]["key"]["kernel"]
  assert up(train) == P("tensor", "fsdp")
  assert up(decode) == P("tensor")
  assert key(train).spec == P("tensor", None, "fsdp")
  assert train["unembedding"].spec == P("tensor", "fsdp")


def test_axis_that_does_not_divide_is_replicated():
  mesh = mesh_lib.make_mesh((1, 1, 8))
  tree = placement.shardings(LANGUAGE, mesh, rules.TRAINING)["params"]
  attention = tree["backbone"]["layers_0"]["attention"]
  assert attention["key"]["kernel"].spec == P()  # 2 heads
  assert attention["query"]["kernel"].spec == P()  # 4 heads
  mlp = tree["backbone"]["layers_0"]["mlp"]
  assert mlp["up"]["kernel"].spec == P("tensor")  # 24 channels


@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 1, 8)], ids=str)
def test_init_is_placed_and_does_not_depend_on_the_mesh(shape):
  key = jax.random.key(7)
  one = jnp.zeros((1, 1), jnp.int32)
  wanted = nn.unbox(jax.jit(VALUE.init)(key, one, one))
  mesh = mesh_lib.make_mesh(shape)
  # Inside the context, because that is where a program's main makes them.
  with placement.context(mesh, rules.TRAINING):
    places = placement.shardings(VALUE, mesh, rules.TRAINING)
    got = placement.init(VALUE, key, places)
  jax.tree.map(assert_close, got, wanted)
  same = lambda x, place: x.sharding.is_equivalent_to(place, x.ndim)
  assert jax.tree.all(jax.tree.map(same, got, places))


def test_example_arguments_reach_init():
  mesh = mesh_lib.make_mesh((1, 2, 4))
  dense = nn.Dense(
    8, kernel_init=nn.with_logical_partitioning(nn.zeros, ("embed", "mlp"))
  )
  example = jnp.zeros((1, 6))
  places = placement.shardings(dense, mesh, rules.TRAINING, example)
  assert places["params"]["kernel"].spec == P("fsdp", "tensor")
  variables = placement.init(dense, jax.random.key(0), places, example)
  assert variables["params"]["kernel"].shape == (6, 8)


def constrain(x):
  return nn.with_logical_constraint(
    2 * x, ("batch", "time", "embed_activation")
  )


def test_constraint_acts_under_the_context_and_only_there():
  mesh = mesh_lib.make_mesh((2, 2, 2))
  x = jnp.ones((8, 3, 4))
  function = jax.jit(constrain)  # one function: the context forces a retrace
  assert len(function(x).sharding.device_set) == 1
  with placement.context(mesh, rules.TRAINING):
    got = function(x)
    text = function.lower(x).as_text()
  assert got.sharding.is_equivalent_to(
    jax.NamedSharding(mesh, P(("data", "fsdp"))), 3
  )
  assert got.addressable_shards[0].data.shape == (2, 3, 4)
  assert "sharding_constraint" in text or "@Sharding" in text
  assert len(function(x).sharding.device_set) == 1


def test_models_carry_the_constraint(alone, batch):
  # Fed with plain arrays: only the model's own constraints can cut the rows.
  mesh = mesh_lib.make_mesh((4, 2, 1))
  hidden = lambda v, b: LANGUAGE.apply(v, **b, method="hidden")[0]
  with placement.context(mesh, rules.TRAINING):
    got = jax.jit(hidden)(alone[0], batch)
  assert got.addressable_shards[0].data.shape == (1, 6, CONFIG.width)


def test_extend_places_moments_like_parameters():
  mesh = mesh_lib.make_mesh((2, 2, 2))
  places = placement.shardings(VALUE, mesh, rules.TRAINING)
  one = jnp.zeros((1, 1), jnp.int32)
  params = nn.unbox(jax.eval_shape(VALUE.init, jax.random.key(0), one, one))
  optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-3))
  state = {
    "step": jax.ShapeDtypeStruct((), jnp.int32),
    "params": params,
    "opt_state": jax.eval_shape(optimizer.init, params),
  }
  got = placement.extend(places, state)
  assert jax.tree.structure(got) == jax.tree.structure(state)
  adam = got["opt_state"][1][0]
  assert got["params"] == adam.mu == adam.nu == places
  assert adam.count.spec == got["step"].spec == P()


@pytest.mark.parametrize("shape", [(2, 2, 2), (8, 1, 1)], ids=str)
def test_state_keeps_its_places_through_steps(shape):
  mesh = mesh_lib.make_mesh(shape)
  with placement.context(mesh, rules.TRAINING):
    places = placement.shardings(VALUE, mesh, rules.TRAINING)
    variables = placement.init(VALUE, jax.random.key(0), places)
    step = jax.jit(lambda tree: jax.tree.map(lambda x: 0.9 * x, tree))
    for _ in range(2):
      variables = step(variables)
  assert jax.tree.map(lambda x: x.sharding, variables) == places
  assert step._cache_size() == 1


def test_batch_rows_are_cut_over_data_and_fsdp(batch):
  mesh = mesh_lib.make_mesh((2, 2, 2))
  got = placement.place_batch(batch, mesh, rules.TRAINING)["tokens"]
  assert got.addressable_shards[0].data.shape == (2, 6)
  np.testing.assert_array_equal(got, batch["tokens"])


def test_batch_that_cannot_be_cut_is_refused():
  mesh = mesh_lib.make_mesh((2, 2, 2))
  with pytest.raises(errors.InputError, match="'tokens' has 6 rows.* 4 dev"):
    placement.place_batch({"tokens": np.zeros((6, 2))}, mesh, rules.TRAINING)


def test_pad_rows_by_hand():
  arrays = {"a": np.array([[1, 2], [3, 4], [5, 6]]), "b": np.array([True] * 3)}
  padded, num_rows = placement.pad_rows(arrays, 2)
  assert num_rows == 3
  np.testing.assert_array_equal(padded["a"], [[1, 2], [3, 4], [5, 6], [0, 0]])
  np.testing.assert_array_equal(padded["b"], [True, True, True, False])
  again, num_rows = placement.pad_rows(padded, 4)
  assert num_rows == 4 and again["a"].shape == (4, 2)
