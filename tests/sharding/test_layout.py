"""Sampling and training on eight devices against one."""

import dataclasses
import functools
import re

import jax
import numpy as np
import optax
import pytest
from oracles import decoders, players

from qsharp_jax import data, generate, models, training
from qsharp_jax.generate import decode, reading
from qsharp_jax.generate import state as state_lib
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.sharding import mesh as mesh_lib

pytestmark = pytest.mark.skipif(
  jax.device_count() != 8,
  reason=f"needs 8 devices, here are {jax.device_count()}",
)

# Two key-value heads: cut over `tensor` on (2, 2, 2), whole on (1, 1, 8).
SHAPES = [(8, 1, 1), (1, 8, 1), (2, 2, 2), (1, 1, 8)]
# One layer: most of the time here is the compiler's.
LLAMA = dataclasses.replace(players.CONFIG, num_layers=1)
CONFIGS = {
  "llama": LLAMA,
  "qwen2": dataclasses.replace(LLAMA, qkv_bias=True),
}


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def layout(request):
  return layout_lib.Layout(mesh_lib.make_mesh(request.param))


@functools.cache
def policy(kind, config=LLAMA):
  return dataclasses.replace(
    players.policy(kind),
    reference=models.LanguageModel(config),
    value=models.ValueModel(config, models.HeadConfig(kind)),
  )


@functools.cache
def params(found):
  """Parameters of both models, in the host's memory."""
  return {
    "reference": jax.device_get(decoders.params(found.reference, 0)),
    "value": jax.device_get(decoders.params(found.value, 1)),
  }


def placed(layout, found):
  """Parameters where the pipeline puts those of a sampler."""
  shardings = {
    "reference": layout.for_decoding(found.reference),
    "value": layout.for_decoding(found.value),
  }
  return jax.device_put(params(found), shardings)


def requests():
  return [
    dataclasses.replace(request, guided_steps=[9, 4])
    for request in players.requests((5, 1, 8, 3, 6, 2, 4, 7, 5, 8, 1, 6))
  ]


def sample(found, tree, place, per_refill):
  groups = generate.generate(
    found,
    tree,
    requests(),
    players.sampling(prompts_per_refill=per_refill),
    place=place,
  )
  return [completion for group in groups for completion in group]


@functools.cache
def sampled_on_one_device(found):
  return sample(found, params(found), jax.device_put, 1)


@pytest.mark.parametrize(
  "kind, family", [("v", "llama"), ("q", "llama"), ("v", "qwen2")]
)
def test_guided_sampling_equals_one_device(layout, kind, family):
  found = policy(kind, CONFIGS[family])
  wanted = sampled_on_one_device(found)
  tree = placed(layout, found)
  with layout.context():
    # As many newcomers as devices that share the rows.
    got = sample(found, tree, layout.place, 8)
  assert players.tokens(got) == players.tokens(wanted)
  for a, b in zip(got, wanted, strict=True):
    np.testing.assert_allclose(a.log_probs, b.log_probs, atol=1e-4)
    np.testing.assert_allclose(a.kl, b.kl, atol=1e-4)


def prefilled(layout, found, tree):
  """The state before the first step, for 16 rows."""
  tokens, positions = reading.right_align(players.prompts([4] * 8), bucket=8)
  controls = reading.make_controls(
    players.requests([4] * 8), 2, 0, players.SAMPLING
  )
  return state_lib.prefill(
    found,
    tree,
    *layout.place((tokens, positions, controls)),
    num_slots=8 + 4,
    num_new_tokens=4,
  )


def gathered(found, tree, state):
  """Shapes of all that the decode loop gathers, as compiled."""
  text = decode.decode.lower(found, tree, state, 16).compile().as_text()
  shapes = re.findall(r"= \w+\[([\d,]*)\]\S* all-gather\(", text)
  return {tuple(map(int, shape.split(","))) for shape in shapes}


def test_decoding_moves_no_weights_and_no_rows_of_logits():
  layout = layout_lib.Layout(mesh_lib.make_mesh((2, 2, 2)))
  found = policy("v")
  tree = placed(layout, found)
  with layout.context():
    state = prefilled(layout, found, tree)
    shapes = gathered(found, tree, state)
  cache = state.caches["reference"].keys[0]
  # 16 rows over data and fsdp, 2 heads over tensor.
  assert cache.addressable_shards[0].data.shape[:2] == (4, 1)
  # A device gathers the vocabulary of its own 4 rows, never of all 16.
  assert (4, players.VOCAB) in shapes
  assert (16, players.VOCAB) not in shapes
  widths = {players.CONFIG.width, players.CONFIG.mlp_width}
  tables = {s for s in shapes if len(s) > 1 and widths & set(s[1:])}
  assert not tables - {(4, players.VOCAB)}, tables


# Eight heads with two keys and values: every device has a head of its own.
MANY_HEADS = dataclasses.replace(LLAMA, num_heads=8)


def test_more_devices_than_key_value_heads_share_the_caches():
  layout = layout_lib.Layout(mesh_lib.make_mesh((1, 1, 8)))
  alone = policy("v", MANY_HEADS)
  shared = dataclasses.replace(
    alone,
    reference=layout.sampling(alone.reference),
    value=layout.sampling(alone.value),
  )
  assert shared.reference.config.kv_copies == 4
  wanted = sample(alone, params(alone), jax.device_put, 1)
  tree = placed(layout, shared)
  with layout.context():
    got = sample(shared, tree, layout.place, 8)
    state = prefilled(layout, shared, tree)
    shapes = gathered(shared, tree, state)
  assert players.tokens(got) == players.tokens(wanted)
  for model in ("reference", "value"):
    cache = state.caches[model].keys[0]
    assert cache.shape[1] == 8
    assert cache.addressable_shards[0].data.shape[:2] == (16, 1)
  assert not [s for s in shapes if s[-2:] == cache.shape[2:]], shapes


def rows():
  """Packed labelled sequences, prompts masked. 8 rows."""
  rng = np.random.default_rng(0)
  sequences = [
    data.Sequence(
      rng.integers(0, players.VOCAB, n).astype(np.int32),
      np.arange(n) >= n // 2,
      np.full(n, label, np.float32),
    )
    for n, label in zip(rng.integers(3, 9, 60), rng.integers(0, 2, 60))  # noqa: B905
  ]
  packed = data.packing.pack(sequences, length=16)
  return {
    name: field
    for name, field in packed._asdict().items()
    if name != "sequence_ids"
  }


def objective(name, family):
  """The model trained, and its loss."""
  found = policy("v", CONFIGS[family])
  if name == "value":
    return training.objectives.value(found.value, loss="bernoulli")
  return training.objectives.language_model(found.reference)


def losses(name, family, tree, place):
  """Losses and gradient norms of three steps on different rows."""
  optimizer = optax.adamw(3e-2)
  update = training.make_step(objective(name, family), optimizer)
  state = training.create(tree, optimizer)
  packed, found = rows(), []
  for start in range(3):
    batch = {name: x[start : start + 16] for name, x in packed.items()}
    state, metrics = update(state, place(batch))
    found.append([float(metrics[name]) for name in ("loss", "grad_norm")])
  return found


@functools.cache
def losses_on_one_device(name, family):
  tree = jax.device_put(params(policy("v", CONFIGS[family]))[name])
  return losses(name, family, tree, jax.device_put)


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("name", ["value", "reference"])
def test_training_equals_one_device(layout, name, family):
  model = getattr(policy("v", CONFIGS[family]), name)
  tree = jax.device_put(
    params(policy("v", CONFIGS[family]))[name], layout.for_training(model)
  )
  with layout.context():
    got = losses(name, family, tree, layout.place)
  wanted = losses_on_one_device(name, family)
  np.testing.assert_allclose(got, wanted, atol=1e-5, rtol=1e-5)
  assert got[2][0] < got[0][0]


def test_a_lone_host_has_the_whole_layout(layout):
  assert layout.of_host() is layout
  shape = layout.mesh.shape
  assert layout.num_row_parts == shape["data"] * shape["fsdp"]


def test_a_host_among_several_has_its_own_devices(monkeypatch):
  layout = layout_lib.Layout(mesh_lib.make_mesh((2, 2, 2)))
  monkeypatch.setattr(jax, "process_count", lambda: 2)
  own = layout.of_host()
  assert set(own.mesh.devices.flat) == set(jax.local_devices())
  assert own.num_row_parts == len(jax.local_devices())


def test_over_weights_leaves_rows_whole():
  found = layout_lib.over_weights()
  assert found.num_row_parts == 1
  assert found.mesh.shape["tensor"] == jax.device_count()
