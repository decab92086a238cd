"""The models of a config, by their shapes alone."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
from flax import linen as nn
from jax.sharding import Mesh

from experiments.harness import casting
from launch.aot import shapes
from qsharp_jax import generate, models, sharding, training
from qsharp_jax.checkpoint import families, train_state
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import memory
from qsharp_jax.sharding import placement, rules

_END = (0,)  # an end token; which one it is does not shape a program


@dataclasses.dataclass(frozen=True)
class Players:
  """Who samples, and who is trained."""

  policy: generate.Policy  # weights of the activations' type, as when sampling
  critic: training.Critic  # weights of float32, as when training


def make(config: ml_collections.ConfigDict, layout: sharding.Layout) -> Players:
  """Reads the shapes that a config names, and lays the sampling out.

  Raises:
    InputError: it names none that is known.
  """
  names = config.reference, config.value.start or config.reference
  if not names[0]:
    raise InputError(
      "config.reference is empty; expected a model with a shape: set "
      "--config.reference=NAME and --config.value.start=NAME, such as "
      f"{', '.join(shapes.SHAPES)}"
    )
  reference, value = (
    families.from_hf(shapes.read(name), dtype=config.dtype) for name in names
  )
  value = value.deeper(config.value.num_new_layers)
  # Where the support lies changes no program.
  critic = casting.critic_of(config, value, bounds=(0.0, 1.0))
  policy = casting.policy_of(config, reference, critic, _END, layout)
  return Players(policy, critic)


def abstract(model: nn.Module, mesh: Mesh, table: rules.Rules) -> PyTree:
  """Shapes, types and places of a model's parameters."""
  one = jnp.zeros((1, 1), jnp.int32)
  with nn.logical_axis_rules(()):
    init = lambda: nn.unbox(model.init(jax.random.key(0), one, one))
    found = jax.eval_shape(init)
  return train_state.abstract(found, placement.shardings(model, mesh, table))


def optimizer(config: ml_collections.ConfigDict):
  """The one that trains the values; its numbers shape nothing."""
  own = config.fit
  return training.adamw(
    learning_rate=own.learning_rate,
    num_steps=1,
    schedule=own.schedule,
    weight_decay=own.weight_decay,
    b2=own.b2,
    num_frozen_layers=own.num_frozen_layers,
  )


def bytes_on_one_device(tree: PyTree) -> int:
  """Bytes that one device holds of arrays with shapes, types and places."""
  own = lambda x: jax.ShapeDtypeStruct(x.sharding.shard_shape(x.shape), x.dtype)
  arrays = jax.tree.leaves(jax.tree.map(own, tree))
  return sum(x.size * x.dtype.itemsize for x in arrays)


def flops(model: nn.Module, num_tokens: int, mesh: memory.Mesh) -> float:
  """Of a device that reads so many tokens, attention left out."""
  size = jnp.dtype(model.config.dtype).itemsize
  weights = memory.parameter_bytes(model, mesh) / size
  is_tied = isinstance(model, models.LanguageModel)
  if not (is_tied and model.config.tied_embeddings):  # looked up, no product
    table = model.config.vocab_size * model.config.width
    weights -= table / mesh.shape["tensor"]
  return 2 * weights * num_tokens
