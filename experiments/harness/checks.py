"""Refuses configs that mean nothing, before any work is done."""

import math
from typing import Any

import ml_collections

from experiments.harness import methods
from qsharp_jax import data, rewards
from qsharp_jax.core import errors
from qsharp_jax.core.errors import InputError
from qsharp_jax.generate import guided

_AT_LEAST = {
  "data.num_test": 0,  # 0 is all
  "data.num_train": 0,
  "data.num_validation": 1,
  "evaluation.kl_every": 1,
  "evaluation.num_reference_samples": 1,
  "evaluation.num_samples": 1,
  "fit.batch_size": 1,
  "fit.checkpoint_every": 1,
  "fit.num_epochs": 1,
  "fit.num_frozen_layers": 0,
  "fit.num_microbatches": 1,
  "rounds.num_rounds": 1,
  "rounds.num_samples": 1,
  "sampling.batch_size": 1,
  "sampling.max_new_tokens": 1,
  "sampling.num_candidates": 1,
  "sampling.num_scored": 0,
  "sampling.prompt_bucket": 1,
  "sampling.prompts_per_refill": 1,
  "value.num_atoms": 0,  # 0 leaves it to the loss
  "search.best_of": 1,
  "search.num_beams": 1,
  "search.transfer.num_candidates": 1,
  "search.transfer.num_rollouts": 1,
  "search.transfer.other_num_rollouts": 0,
  "value.num_new_layers": 0,
}
# What the entries of lists are.
_ENTRIES = {
  "evaluation.etas": float,
  "evaluation.methods": str,
  "mesh": int,
  "search.mixture.others": str,
  "search.mixture.weights": float,
  "search.transfer.etas": float,
  "sampling.stop": str,
}
_LARGEST = 2**31 - 1  # whole numbers end up in arrays of 32 bits
_CHOICES = {
  "data.prompt": ("plain", "chat", "raw", "hh"),
  "dtype": ("float32", "bfloat16"),
  "fit.schedule": ("constant", "cosine"),
  "preferences.pairs": ("ends", "best", "all"),
  "rounds.rule": ("algorithm1", "response"),
  "sampling.top_p_of": ("reference", "guided"),
  "value.head": ("v", "q"),
  "value.loss": ("auto", "bernoulli", "categorical", "squared_error"),
  "value.q_head": ("lm_head", "zeros"),
}


def check(config: ml_collections.ConfigDict) -> None:
  """Checks single fields, and fields against each other.

  Raises:
    InputError: says which field, and what it should be.
  """

  def field(name):
    return _field(config, name)

  _check_numbers(config.to_dict(), "")
  for name, kind in _ENTRIES.items():
    _check_entries(name, field(name), kind)
  for name, bound in _AT_LEAST.items():
    if field(name) < bound:
      raise InputError(f"{name} is {field(name)}; expected at least {bound}")
  for name, choices in _CHOICES.items():
    if field(name) not in choices:
      raise InputError(
        f"{name} is {errors.short(field(name))}; expected one of "
        f"{', '.join(choices)}"
      )
  _check_etas(config)
  data.stops.check(config.sampling.stop)
  guided.check(config.rounds.method)
  methods.check(config.evaluation.methods)
  if config.sampling.temperature <= 0 or not 0 < config.sampling.top_p <= 1:
    raise InputError(
      f"sampling.temperature is {config.sampling.temperature} and top_p "
      f"{config.sampling.top_p}; expected > 0 and in (0, 1]"
    )
  if config.sampling.prompts_per_refill > config.sampling.batch_size:
    raise InputError(
      f"sampling.prompts_per_refill is {config.sampling.prompts_per_refill}; "
      f"expected at most sampling.batch_size, {config.sampling.batch_size}"
    )
  _check_width(config)
  _check_reward(config)
  _check_values(config)
  _check_blocks(config)
  _check_device(config)


def check_reference(config: ml_collections.ConfigDict) -> None:
  """Makes sure that there is a reference, or a way to train one."""
  if not config.reference and "pretrain" not in config:
    raise InputError(
      "config.reference is empty; expected a model directory or a hub id: set "
      "--config.reference=DIR, or use the variant tiny"
    )


def check_rows(config: ml_collections.ConfigDict, num_parts: int) -> None:
  """Checks that the rows of every batch can be shared by the devices.

  Args:
    config: the config.
    num_parts: devices along the mesh axes data and fsdp.

  Raises:
    InputError: names the batch size.
  """
  cuts = {
    "sampling.batch_size": 1,
    "sampling.prompts_per_refill": 1,
    "fit.batch_size": config.fit.num_microbatches,
  }
  if not config.reference and "pretrain" in config:
    cuts["pretrain.batch_size"] = 1
  for name, num_cuts in cuts.items():
    size = _field(config, name)
    if size % (num_parts * num_cuts):
      raise InputError(
        f"{name} is {size}; expected a multiple of {num_parts * num_cuts}: "
        f"{num_parts} devices share its rows in {num_cuts} micro-batches; "
        "change it or --config.mesh"
      )


def _check_numbers(tree: Any, name: str) -> None:
  """Refuses numbers that no field of any config can mean."""
  if isinstance(tree, dict):
    for key, value in tree.items():
      _check_numbers(value, f"{name}.{key}" if name else str(key))
  elif isinstance(tree, float) and not math.isfinite(tree):
    raise InputError(f"{name} is {tree}; expected a finite number")
  elif isinstance(tree, int) and abs(tree) > _LARGEST:
    raise InputError(
      f"{name} is {errors.short(tree)}; expected at most {_LARGEST}"
    )


def _check_entries(name: str, entries: Any, kind: type) -> None:
  """Makes sure that a list holds what it is a list of."""
  allowed = {int: (int,), float: (int, float), str: (str,)}[kind]
  for entry in entries:
    if not isinstance(entry, allowed) or isinstance(entry, bool):
      words = {int: "whole numbers", float: "numbers", str: "names"}[kind]
      raise InputError(
        f"{name} has {errors.short(entry)}; expected {words} alone"
      )
    _check_numbers(entry, name)


def _check_etas(config: ml_collections.ConfigDict) -> None:
  if not (config.evaluation.etas and config.evaluation.methods):
    raise InputError(
      "evaluation.etas or evaluation.methods is empty; expected at least one "
      "of each"
    )
  for eta in (config.rounds.eta, *config.evaluation.etas):
    if not (eta > 0 and math.isfinite(eta)):
      raise InputError(
        f"eta is {eta}; expected a finite number > 0 (the KL weight, in reward "
        "units) in rounds.eta and in every entry of evaluation.etas"
      )


def _check_reward(config: ml_collections.ConfigDict) -> None:
  """Verdicts of right and wrong have their scale."""
  is_named = config.reward in rewards.registry.NAMED
  if config.get("reward_is_standardised", False) and is_named:
    raise InputError(
      f"reward_is_standardised is True, and {config.reward} gives 0 or 1; "
      "expected a reward that is a number: leave it False"
    )


def _check_values(config: ml_collections.ConfigDict) -> None:
  """What the value model's logits mean."""
  own = config.value
  if own.num_atoms and own.loss != "auto":
    if (own.num_atoms > 1) != (own.loss == "categorical"):
      raise InputError(
        f"value.num_atoms is {own.num_atoms} with the loss {own.loss}; "
        "expected at least 2 for categorical and 1 for the others, or 0"
      )
  ends = (own.v_min, own.v_max)
  if (None in ends) != (ends == (None, None)) or (
    None not in ends and not -math.inf < own.v_min < own.v_max < math.inf
  ):
    raise InputError(
      f"value.v_min is {own.v_min} and value.v_max {own.v_max}; expected two "
      "finite numbers, the smaller first, or neither: the range of the rewards"
    )
  if own.reads_log_probs and not (own.num_new_layers and own.head == "v"):
    raise InputError(
      f"value.reads_log_probs is True with {own.num_new_layers} new layers and "
      f"a head of kind {own.head!r}; expected value.num_new_layers of at least "
      "1, below which those log-probabilities come from, and the head 'v'"
    )


def _check_device(config: ml_collections.ConfigDict) -> None:
  """What the devices can collect on their own."""
  own = config.rounds
  is_switched = own.num_rounds == 1 or own.rule == "algorithm1"
  is_known = config.reward == "path" and not config.sampling.stop
  if own.on_device and not (is_known and is_switched):
    raise InputError(
      f"rounds.on_device is True, reward {errors.short(config.reward)}, "
      f"rounds.rule {own.rule}, rounds.num_rounds {own.num_rounds} and "
      f"sampling.stop {errors.short(config.sampling.stop)}; expected the "
      "reward path, no stop strings and, in several rounds, the rule "
      "algorithm1: set it to False"
    )


def _check_blocks(config: ml_collections.ConfigDict) -> None:
  """The kept prefixes of a block search share its samples evenly."""
  own = config.search.blocks
  sizes = own.num_samples, own.num_kept, own.block_length
  if min(sizes) < 1 or own.num_samples % own.num_kept:
    raise InputError(
      f"search.blocks has num_samples {own.num_samples}, num_kept "
      f"{own.num_kept} and block_length {own.block_length}; expected all at "
      "least 1, and num_kept a divisor of num_samples"
    )


def _check_width(config: ml_collections.ConfigDict) -> None:
  """Heads of a model of our own: rotation needs an even part of the width."""
  own = config.get("pretrain", None)
  if own is not None and own.width % (2 * own.num_heads):
    raise InputError(
      f"pretrain.width is {own.width}; expected a multiple of "
      f"{2 * own.num_heads}, an even number for each of pretrain.num_heads "
      f"{own.num_heads}"
    )


def _field(config: ml_collections.ConfigDict, name: str):
  """The value of a dotted name."""
  value = config
  for part in name.split("."):
    value = value[part]
  return value
