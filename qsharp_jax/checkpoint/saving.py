"""Models written as Hugging Face directories, and how to read them."""

import dataclasses
import itertools
import operator
import os
from collections.abc import Iterator, Mapping
from typing import Any

from flax import traverse_util

from qsharp_jax.checkpoint import (
  families,
  huggingface,
  layouts,
  name_tables,
  tensor_files,
)
from qsharp_jax.core import places
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.models import DecoderConfig, HeadConfig
from qsharp_jax.sharding import processes

_SHARD_BYTES = 5 * 10**9


def save_language_model(
  directory: str | os.PathLike,
  config: DecoderConfig,
  params: PyTree,
  family: str,
  token_ids: Mapping[str, int | list[int]] | None = None,
  *,
  max_shard_bytes: int = _SHARD_BYTES,
) -> None:
  """Writes a model that `AutoModelForCausalLM.from_pretrained` loads.

  With several processes all must call it; the first one writes.

  Args:
    directory: created, or replaced if it holds a model already.
    config: the decoder's.
    params: {"params": ...} of a `LanguageModel`.
    family: one of `families.FAMILIES`.
    token_ids: `bos_token_id`, `eos_token_id`, `pad_token_id` for config.json,
      see `huggingface.token_ids`.
    max_shard_bytes: larger models are cut into several files.

  Raises:
    InputError: `family` cannot express `config`; the directory is not a model.
  """
  raw = families.to_hf(config, family) | dict(token_ids or {})
  raw["architectures"] = [families.FAMILIES[family].language_model]
  entries = name_tables.entries(family, config, None)
  _save(directory, raw, entries, params, max_shard_bytes)


def save_value_model(
  directory: str | os.PathLike,
  config: DecoderConfig,
  head: HeadConfig,
  params: PyTree,
  family: str,
  token_ids: Mapping[str, int | list[int]] | None = None,
  *,
  reads_as: Mapping[str, Any] | None = None,
  max_shard_bytes: int = _SHARD_BYTES,
) -> None:
  """Writes a value model; a V-type one loads in torch as a classifier.

  `AutoModelForSequenceClassification` wants a `pad_token_id` for batches and
  reads the score of each row's last other token.

  Args:
    directory: created, or replaced if it holds a model already.
    config: the decoder's.
    head: the value head's.
    params: {"params": ...} of a `ValueModel`.
    family: one of `families.FAMILIES`.
    token_ids: `bos_token_id`, `eos_token_id`, `pad_token_id` for config.json,
      see `huggingface.token_ids`.
    reads_as: what the logits mean, for whoever reads them, see
      `value_meaning`.
    max_shard_bytes: larger models are cut into several files.

  Raises:
    InputError: `family` cannot express `config`; the directory is not a model.
  """
  raw = families.to_hf(config, family) | dict(token_ids or {})
  raw[huggingface.VALUE_HEAD] = dataclasses.asdict(head) | dict(reads_as or {})
  if not head.is_predicting:  # as the heads that do not know of it
    del raw[huggingface.VALUE_HEAD]["predicting_layers"]
  if head.kind == "v" and not head.is_predicting:
    raw["architectures"] = [families.FAMILIES[family].classifier]
    labels = {str(k): f"LABEL_{k}" for k in range(head.num_atoms)}
    raw["id2label"] = labels
    raw["label2id"] = {label: int(k) for k, label in labels.items()}
  entries = name_tables.entries(family, config, head)
  _save(directory, raw, entries, params, max_shard_bytes)


def _save(
  directory: str | os.PathLike,
  raw: dict[str, Any],
  entries: Iterator[layouts.Entry],
  params: PyTree,
  max_shard_bytes: int,
) -> None:
  """Gathers tensor by tensor; the first process writes."""
  flat = traverse_util.flatten_dict(params["params"], sep="/")

  def whole(entry):
    return (entry, processes.fetch(flat[entry.path]))

  name = operator.attrgetter("name")
  groups = itertools.groupby(sorted(entries, key=name), name)
  tensors = (
    (name, layouts.to_stored(list(map(whole, group)))) for name, group in groups
  )
  if processes.is_main():
    tensor_files.write(
      places.path(directory),
      {huggingface.CONFIG: raw},
      tensors,
      max_shard_bytes=max_shard_bytes,
    )
  else:
    for _ in tensors:  # Gathering needs every process.
      pass
  processes.barrier(f"saving {directory}")
