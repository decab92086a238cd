"""Random models of ours on disk, and what they say."""

import jax
import numpy as np
from oracles import decoders, torch_models
from safetensors import numpy as safetensors_numpy

from qsharp_jax import models
from qsharp_jax.checkpoint import saving

TOKENS = np.random.default_rng(1).integers(0, 96, (2, 9)).astype(np.int32)
POSITIONS = np.tile(np.arange(9, dtype=np.int32), (2, 1))


def save(path, variant, head=None, **kwargs):
  """Saves a random model of ours; returns its config and parameters."""
  config = decoders.config(variant)
  family = torch_models.VARIANTS[variant][0]
  if head is None:
    params = decoders.params(models.LanguageModel(config))
    saving.save_language_model(path, config, params, family, **kwargs)
  else:
    params = decoders.params(models.ValueModel(config, head))
    saving.save_value_model(path, config, head, params, family, **kwargs)
  return config, params


def edit(path, change, metadata=None):
  """Rewrites the tensors of a directory after `change(tensors)`."""
  file = path / "model.safetensors"
  tensors = safetensors_numpy.load_file(file)
  change(tensors)
  safetensors_numpy.save_file(tensors, file, metadata)


def apply(model, params):
  return np.asarray(jax.jit(model.apply)(params, TOKENS, POSITIONS)[0])


def assert_same(got, expected):
  assert jax.tree.structure(got) == jax.tree.structure(expected)
  jax.tree.map(np.testing.assert_array_equal, got, expected)
