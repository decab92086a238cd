"""Keys of rotary embeddings, beside the numbers transformers makes of them."""

import jax
import numpy as np
import pytest
from oracles.published_models import QWEN_2_5_1_5B

from qsharp_jax import models
from qsharp_jax.checkpoint import families, rotary_keys

BASE = {"rope_theta": 1e6, "max_position_embeddings": 64}
YARN = {
  "rope_type": "yarn",
  "factor": 4.0,
  "original_max_position_embeddings": 32768,
}


@pytest.mark.parametrize(
  "others",
  [
    {},
    {"truncate": False},
    {"beta_fast": 16, "beta_slow": 2},
    {"attention_factor": 1.5},
    {"mscale": 0.7, "mscale_all_dim": 0.3},
    {"factor": 1.0},
    {"original_max_position_embeddings": 8},
  ],
)
def test_yarn_turns_as_in_transformers(others):
  reason = "the parity tests need torch"
  pytest.importorskip("torch", reason=reason)
  transformers = pytest.importorskip("transformers", reason=reason)
  raw = QWEN_2_5_1_5B | {"rope_scaling": YARN | others}
  theirs = transformers.AutoConfig.for_model(**raw)
  theirs.standardize_rope_params()
  functions = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS
  expected, length = functions["yarn"](theirs, "cpu")
  config = families.from_hf(raw)
  found = models.rope.frequencies(config)
  np.testing.assert_allclose(found, expected.numpy(), rtol=1e-6)
  positions = np.array([[0, 3]])
  cos, sin = jax.jit(lambda at: models.rope.rotations(config, at, 4))(positions)
  size = np.hypot(cos, sin)
  np.testing.assert_allclose(size, length, rtol=1e-6)


def test_what_is_written_is_read_as_it_was():
  keys = rotary_keys.RotaryKeys(fraction="share", local="near")
  scalings = [
    None,
    models.RopeScaling("linear", 2.0),
    models.RopeScaling("llama3", 8.0, 1.5, 3.0, 128),
    models.RopeScaling(
      "yarn",
      4.0,
      original_max_length=16,
      beta_fast=20.0,
      beta_slow=2.0,
      truncate=False,
      attention_factor=1.25,
    ),
  ]
  for scaling in scalings:
    fields = {
      "rope_theta": 5e4,
      "rope_scaling": scaling,
      "rotary_fraction": 0.5,
      "local_rope_theta": 300.0,
    }
    config = models.DecoderConfig(9, 8, 1, 2, 1, 4, 8, 64, **fields)
    raw = BASE | rotary_keys.write(config, keys)
    assert rotary_keys.read(raw, keys) == fields
