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
from qsharp_jax.generate import decode
from qsharp_jax.generate import requests as requests_lib
from qsharp_jax.pipeline import layout as layout_lib
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


def policy(kind, family="llama"):
  config = CONFIGS[family]
  return dataclasses.replace(
    players.policy(kind),
    reference=models.LanguageModel(config),
    value=models.ValueModel(config, models.HeadConfig(kind)),
  )


@functools.cache
def params(kind, family="llama"):
  """Parameters of both models, in the host's memory."""
  found = policy(kind, family)
  return {
    "reference": jax.device_get(decoders.params(found.reference, 0)),
    "value": jax.device_get(decoders.params(found.value, 1)),
  }


def placed(layout, kind, family="llama"):
  """Parameters where the pipeline puts those of a sampler."""
  found = policy(kind, family)
  shardings = {
    "reference": layout.for_decoding(found.reference),
    "value": layout.for_decoding(found.value),
  }
  return jax.device_put(params(kind, family), shardings)


def requests():
  return [
    dataclasses.replace(request, guided_steps=[9, 4])
    for request in players.requests((5, 1, 8, 3, 6, 2, 4, 7, 5, 8, 1, 6))
  ]


def sample(kind, family, tree, place, per_refill):
  groups = generate.generate(
    policy(kind, family),
    tree,
    requests(),
    players.sampling(prompts_per_refill=per_refill),
    place=place,
  )
  return [completion for group in groups for completion in group]


@functools.cache
def sampled_on_one_device(kind, family):
  return sample(kind, family, params(kind, family), jax.device_put, 1)


@pytest.mark.parametrize(
  "kind, family", [("v", "llama"), ("q", "llama"), ("v", "qwen2")]
)
def test_guided_sampling_equals_one_device(layout, kind, family):
  wanted = sampled_on_one_device(kind, family)
  tree = placed(layout, kind, family)
  with layout.context():
    # As many newcomers as devices that share the rows.
    got = sample(kind, family, tree, layout.place, 8)
  assert players.tokens(got) == players.tokens(wanted)
  for a, b in zip(got, wanted, strict=True):
    np.testing.assert_allclose(a.log_probs, b.log_probs, atol=1e-4)
    np.testing.assert_allclose(a.kl, b.kl, atol=1e-4)


def gathered(layout):
  """Shapes of all that the decode loop gathers, as compiled."""
  tokens, positions = requests_lib.right_align(
    players.prompts([4] * 8), bucket=8
  )
  tree = placed(layout, "v")
  with layout.context():
    controls = requests_lib.make_controls(
      players.requests([4] * 8), 2, 0, players.SAMPLING
    )
    state = decode.prefill(
      policy("v"),
      tree,
      *layout.place((tokens, positions, controls)),
      num_slots=7 + 4,
      num_new_tokens=4,
    )
    compiled = decode.decode.lower(policy("v"), tree, state, 16).compile()
  cache = state.caches["reference"].keys[0]
  found = re.findall(r"= \w+\[([\d,]*)\]\S* all-gather\(", compiled.as_text())
  return cache, {tuple(map(int, shape.split(","))) for shape in found}


def test_decoding_moves_no_weights_and_no_rows_of_logits():
  layout = layout_lib.Layout(mesh_lib.make_mesh((2, 2, 2)))
  cache, shapes = gathered(layout)
  # 16 rows over data and fsdp, 2 heads over tensor.
  assert cache.addressable_shards[0].data.shape[:2] == (4, 1)
  # A device gathers the vocabulary of its own 4 rows, never of all 16.
  assert (4, players.VOCAB) in shapes
  assert (16, players.VOCAB) not in shapes
  widths = {players.CONFIG.width, players.CONFIG.mlp_width}
  tables = {s for s in shapes if len(s) > 1 and widths & set(s[1:])}
  assert not tables - {(4, players.VOCAB)}, tables


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
  found = policy("v", family)
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
  tree = jax.device_put(params("v", family)[name])
  return losses(name, family, tree, jax.device_put)


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("name", ["value", "reference"])
def test_training_equals_one_device(layout, name, family):
  model = getattr(policy("v", family), name)
  tree = jax.device_put(params("v", family)[name], layout.for_training(model))
  with layout.context():
    got = losses(name, family, tree, layout.place)
  wanted = losses_on_one_device(name, family)
  np.testing.assert_allclose(got, wanted, atol=1e-5, rtol=1e-5)
  assert got[2][0] < got[0][0]
