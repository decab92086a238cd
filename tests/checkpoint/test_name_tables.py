"""Layouts of tensors in files: slices beside whole arrays, both directions."""

import itertools

import numpy as np
import pytest
from oracles import decoders

from qsharp_jax import models
from qsharp_jax.checkpoint import name_tables

SIZES = name_tables.sizes(decoders.SMALLEST) | {
  **{"d": 6, "n": 4, "g": 2, "h": 3, "m": 5, "v": 7, "p": 8}
}


def entries(family):
  return name_tables.TABLES[family]


def by_name(family):
  return itertools.groupby(entries(family), key=lambda entry: entry.name)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_reading_undoes_writing_whole_and_in_parts(family):
  rng = np.random.default_rng(0)
  for _, group in by_name(family):
    group = list(group)
    values = [rng.normal(size=name_tables.shape(e, SIZES)) for e in group]
    stored = name_tables.to_stored(list(zip(group, values, strict=True)))
    # Parts of a fused tensor need as many heads as key-value heads.
    if len(group) == 1:
      assert stored.shape == name_tables.stored_shape(group[0], SIZES)
      index = tuple(slice(size // 3, size) for size in values[0].shape)
      for i in (index, (slice(None),) * values[0].ndim):
        part = name_tables.read(group[0], SIZES, i, stored.__getitem__)
        np.testing.assert_array_equal(part, values[0][i])


def test_a_fused_projection_is_cut_in_three():
  sizes = SIZES | {"g": 4}
  _, group = next(x for x in by_name("gpt2") if "c_attn.weight" in x[0])
  group = list(group)
  stored = np.arange(6 * 3 * 4 * 3).reshape(6, 36)
  for i, entry in enumerate(group):
    index = (slice(1, 3), slice(0, 3), slice(2, 6))  # heads, width, model width
    part = name_tables.read(entry, sizes, index, stored.__getitem__)
    # By hand: columns of part i, head by head, and our order of axes.
    columns = stored[2:6, 12 * i + 3 : 12 * i + 9].reshape(4, 2, 3)
    np.testing.assert_array_equal(part, columns.transpose(1, 2, 0))


def test_what_a_model_has_is_what_its_switches_say():
  names = lambda config, head=None: {
    e.path for e in name_tables.entries("llama", config, head)
  }
  config = decoders.SMALLEST
  plain = names(config)
  assert ("unembedding" in plain) != config.tied_embeddings
  assert not any("bias" in path for path in plain)
  head = models.HeadConfig("v", 3)
  assert "head" in names(config, head)
  assert "unembedding" not in names(config, head)
  layers = {path.split("/")[1] for path in plain if "layers_" in path}
  assert len(layers) == config.num_layers


def test_names_of_the_backbone():
  assert name_tables.prefix("gpt2") == "transformer."
  assert name_tables.embedding("qwen2") == "model.embed_tokens.weight"
