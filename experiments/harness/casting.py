"""From a config to the models of a run: sizes, roles, weights."""

import dataclasses
from collections.abc import Callable

import ml_collections

from qsharp_jax import (
  data,
  generate,
  models,
  pipeline,
  rewards,
  sharding,
  training,
)
from qsharp_jax.checkpoint import huggingface
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import guided
from qsharp_jax.ops import distributions

_NUM_ATOMS = 51  # of a distribution, where the config does not say


def stops_of(config: ml_collections.ConfigDict) -> tuple[str, ...]:
  """Strings that end an answer; runs of earlier versions had none."""
  return tuple(config.sampling.get("stop", ()))


def loss_of(config: ml_collections.ConfigDict) -> str:
  """The loss of the values: one for distributions, unless verdicts are all."""
  own = config.value
  if own.loss != "auto":
    return own.loss
  is_verdict = config.reward in rewards.registry.NAMED and own.num_atoms < 2
  return "bernoulli" if is_verdict else "categorical"


def num_atoms_of(config: ml_collections.ConfigDict) -> int:
  """Logits of a value: 0 in the config leaves it to the loss."""
  is_categorical = loss_of(config) == "categorical"
  return config.value.num_atoms or (_NUM_ATOMS if is_categorical else 1)


def critic(
  config: ml_collections.ConfigDict,
  start: str,
  bounds: tuple[float, float] | None = None,
) -> tuple[training.Critic, str]:
  """The value model's shape, and its family; no weights are read yet."""
  hf_config = huggingface.read_config(start)
  decoder = huggingface.families.from_hf(hf_config, dtype=config.dtype)
  return critic_of(config, decoder, bounds), hf_config["model_type"]


def critic_of(
  config: ml_collections.ConfigDict,
  decoder: models.DecoderConfig,
  bounds: tuple[float, float] | None = None,
) -> training.Critic:
  """A value model on this decoder, and what its logits mean.

  Args:
    config: the experiment's.
    decoder: of the value model.
    bounds: least and greatest reward, where the reward says so; the support is
      otherwise settled by the rewards of round 1, unless the config gives it.
  """
  own, loss, num_atoms = config.value, loss_of(config), num_atoms_of(config)
  if config.reward in rewards.registry.NAMED:
    bounds = (0.0, 1.0)
  if own.v_min is not None:
    bounds = (own.v_min, own.v_max)
  atoms = None
  if loss == "categorical" and bounds is not None:
    atoms = tuple(distributions.support(*bounds, num_atoms).tolist())
  head = models.HeadConfig(
    own.head, num_atoms, _predicting_layers(config, decoder)
  )
  # Runs of earlier versions do not know the field.
  is_remat = own.get("is_rematerialised", False)
  decoder = dataclasses.replace(decoder, remat=is_remat)
  return training.Critic(models.ValueModel(decoder, head), loss, atoms)


def _predicting_layers(
  config: ml_collections.ConfigDict, decoder: models.DecoderConfig
) -> int:
  """How many layers predict what the head reads; 0 where it reads none."""
  if not config.value.reads_log_probs:
    return 0
  if not decoder.tied_embeddings:
    raise InputError(
      "value.reads_log_probs is True, and the value model's start has an "
      "output table of its own; expected tied embeddings: take another start "
      "or leave it False"
    )
  return decoder.num_layers - config.value.num_new_layers


def players(
  config: ml_collections.ConfigDict,
  tokenizer: data.Tokenizer,
  where: sharding.Layout,
  check: Callable[[generate.Policy], None] = lambda policy: None,
  bounds: tuple[float, float] | None = None,
) -> pipeline.Players:
  """Shapes both models; loads the reference if `check` refuses nothing."""
  start = config.value.start or config.reference
  found, family = critic(config, start, bounds)
  policy = _policy(config, tokenizer, found, where)
  check(policy)
  if start != config.reference:
    data.tokenizer.check_same(tokenizer, data.tokenizer.load(start))
  _, params = huggingface.load_language_model(
    config.reference,
    dtype=config.dtype,
    param_dtype=config.dtype,
    shardings=where.for_decoding(policy.reference),
  )
  return pipeline.Players(
    policy,
    params,
    found,
    start,
    family,
    config.value.q_head,
    config.reference,
  )


def _policy(
  config: ml_collections.ConfigDict,
  tokenizer: data.Tokenizer,
  found: training.Critic,
  where: sharding.Layout,
) -> generate.Policy:
  """The policy that collects; no weights are read yet."""
  hf_config = huggingface.read_config(config.reference)
  decoder = huggingface.families.from_hf(hf_config, dtype=config.dtype)
  policy = policy_of(config, decoder, found, tokenizer.eos_ids, where)
  stops = data.stops.automaton(tokenizer, stops_of(config))
  return dataclasses.replace(policy, stops=stops)


def policy_of(
  config: ml_collections.ConfigDict,
  decoder: models.DecoderConfig,
  found: training.Critic,
  eos_ids: tuple[int, ...],
  where: sharding.Layout,
) -> generate.Policy:
  """The policy that collects, from the reference's decoder."""
  guided.check(config.rounds.method)
  return generate.Policy(
    reference=where.sampling(models.LanguageModel(decoder)),
    eos_ids=eos_ids,
    value=where.sampling(found.model),
    guidance=found.guidance(config.rounds.method),
    num_candidates=config.sampling.num_candidates,
    is_guidance_tempered=config.sampling.is_guidance_tempered,
    is_truncated=config.sampling.is_truncated,
    num_scored=config.sampling.num_scored,
    top_p_of=config.sampling.top_p_of,
  )


def own_reference(
  config: ml_collections.ConfigDict, tokenizer: data.Tokenizer
) -> models.DecoderConfig:
  """The reference that some variants train: few sizes, else as its family."""
  own = config.pretrain
  family = huggingface.families.FAMILIES[own.family]
  sizes = {
    "vocab_size": tokenizer.vocab_size,
    "width": own.width,
    "num_layers": own.num_layers,
    "num_heads": own.num_heads,
    # Three products of a gated layer are worth four plain widths in two.
    "mlp_width": own.width * (3 if family.fixed.get("gated_mlp", True) else 4),
    "max_length": own.context,
    "norm_eps": 1e-5,
    "tied_embeddings": own.tied_embeddings,
    "init_std": own.init_std,
  }
  # What families assume of heads belongs to their large models.
  if family.defaults.get("num_key_value_heads") is not None:
    sizes["num_kv_heads"] = own.num_heads
  if family.defaults.get("head_dim") is not None:
    sizes["head_width"] = own.width // own.num_heads
  if "query_scalar" in family.keys:
    sizes["query_scalar"] = own.width // own.num_heads
  raw = {family.keys[name]: size for name, size in sizes.items()}
  decoder = huggingface.families.from_hf(
    {"model_type": own.family, **raw}, dtype=config.dtype
  )
  return dataclasses.replace(decoder, embedding_std=own.embedding_std)
