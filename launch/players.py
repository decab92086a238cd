"""The models of a config, by their shapes alone."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
from flax import linen as nn
from jax.sharding import Mesh

from experiments import methods
from launch import shapes
from qsharp_jax import generate, models, pipeline, training
from qsharp_jax.checkpoint import families
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.ops import laws
from qsharp_jax.sharding import placement, rules

_END = (0,)  # an end token; which one it is does not shape a program


@dataclasses.dataclass(frozen=True)
class Players:
  """Who samples, and who is trained."""

  policy: generate.Policy  # weights of the activations' type, as when sampling
  critic: pipeline.Critic  # weights of float32, as when training


def make(config: ml_collections.ConfigDict, layout: pipeline.Layout) -> Players:
  """Reads the shapes that a config names, and lays the sampling out.

  Raises:
    InputError: it names none that is known.
  """
  names = config.reference, config.value.start or config.reference
  if not names[0] or names[1] == "scratch":
    raise InputError(
      f"reference is {names[0]!r} and value.start {config.value.start!r}; "
      "expected models with a shape: set --config.reference=NAME and "
      f"--config.value.start=NAME, such as {', '.join(shapes.SHAPES)}"
    )
  reference, value = (
    families.from_hf(shapes.read(name), dtype=config.dtype) for name in names
  )
  critic = _critic(config, value)
  policy = generate.Policy(
    reference=layout.sampling(models.LanguageModel(reference)),
    eos_ids=_END,
    value=layout.sampling(critic.model),
    guidance=methods.select(critic, config.rounds.method),
    num_candidates=config.sampling.num_candidates,
    is_guidance_tempered=config.sampling.is_guidance_tempered,
    is_truncated=config.sampling.is_truncated,
  )
  return Players(policy, critic)


def _critic(
  config: ml_collections.ConfigDict, decoder: models.DecoderConfig
) -> pipeline.Critic:
  own = config.value
  atoms = None
  if own.loss == "categorical":
    atoms = laws.support(own.v_min, own.v_max, own.num_atoms)
  model = models.ValueModel(decoder, models.HeadConfig(own.head, own.num_atoms))
  return pipeline.Critic(model, own.loss, atoms)


def abstract(model: nn.Module, mesh: Mesh, table: rules.Rules) -> PyTree:
  """Shapes, types and places of a model's parameters."""
  one = jnp.zeros((1, 1), jnp.int32)
  with nn.logical_axis_rules(()):
    init = lambda: nn.unbox(model.init(jax.random.key(0), one, one))
    found = jax.eval_shape(init)
  return placed(found, placement.shardings(model, mesh, table))


def placed(tree: PyTree, shardings: PyTree) -> PyTree:
  """The same shapes at these places."""
  put = lambda x, sharding: jax.ShapeDtypeStruct(
    x.shape, x.dtype, sharding=sharding
  )
  return jax.tree.map(put, tree, shardings)


def optimizer(config: ml_collections.ConfigDict):
  """The one that trains the values; its numbers shape nothing."""
  own = config.fit
  return training.adamw(
    learning_rate=own.learning_rate,
    num_steps=1,
    schedule=own.schedule,
    weight_decay=own.weight_decay,
    b2=own.b2,
  )


def bytes_on_one_device(tree: PyTree) -> int:
  """Bytes that one device holds of arrays with shapes, types and places."""
  own = lambda x: jax.ShapeDtypeStruct(x.sharding.shard_shape(x.shape), x.dtype)
  arrays = jax.tree.leaves(jax.tree.map(own, tree))
  return sum(x.size * x.dtype.itemsize for x in arrays)
