"""Models in Hugging Face directories: `config.json` and safetensors."""

import os
import pathlib
import re
import shutil
from collections.abc import Callable, Mapping
from typing import Any, Literal

from qsharp_jax.checkpoint import (
  families,
  layouts,
  loading,
  name_tables,
)
from qsharp_jax.core import digests, errors, files, places
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import end_ids
from qsharp_jax.models import DecoderConfig, HeadConfig
from qsharp_jax.sharding import processes

_HUB_FILES = ("*.json", "*.safetensors", "*.jinja", "*.model", "merges.txt")
VALUE_HEAD = "value_head"  # our own key in config.json
CONFIG = "config.json"
_TOKEN_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
TOKENIZER_FILES = (
  "tokenizer*",
  "special_tokens_map.json",
  "vocab.json",
  "merges.txt",
  "*.jinja",
  "*.model",
)


def resolve(path: str | os.PathLike) -> pathlib.Path:
  """A local model directory; a bucket's or a Hub model is downloaded.

  Raises:
    InputError: no such directory, and no such model on the Hub either.
  """
  directory = places.path(path)
  with places.reached(directory):
    is_directory = directory.is_dir()
  if is_directory:
    return places.local(directory)
  if directory.exists() or not re.fullmatch(
    r"[\w-][\w.-]*/[\w-][\w.-]*", str(path)
  ):
    raise InputError(
      f"{path} is no directory; expected a model directory or a Hub name"
    )
  import huggingface_hub  # Slow to import and only needed here.

  with errors.foreign(
    f"{path} is no directory and cannot be fetched from the Hub",
    "check the name",
  ):
    return pathlib.Path(
      huggingface_hub.snapshot_download(
        str(path), allow_patterns=list(_HUB_FILES)
      )
    )


def read_config(path: str | os.PathLike) -> dict[str, Any]:
  """Content of the `config.json` of a directory or Hub model.

  Of a model of text and images, the part that is about text.

  Raises:
    InputError: no directory, no such file, a damaged one, or not a JSON object.
  """
  directory = resolve(path)
  file = directory / CONFIG
  if not file.is_file():
    raise InputError(f"{file} does not exist; expected a model directory")
  digests.check(directory, [CONFIG], may_be_replaced=True)
  return dict(families.text_part(files.read_json_object(file)))


def token_ids(path: str | os.PathLike) -> dict[str, Any]:
  """What a model made from this one must say of its special tokens.

  Args:
    path: directory or Hub name.

  Returns:
    `bos_token_id`, `pad_token_id` and `eos_token_id` as far as they are known,
    for `config.json`. The last one has the ends that `generation_config.json`
    alone names, too.

  Raises:
    InputError: as `read_config`, or impossible end ids.
  """
  raw = read_config(path)
  ids = {k: raw[k] for k in _TOKEN_IDS if raw.get(k) is not None}
  ends = sorted(end_ids.read(resolve(path)))
  own = ids.pop("eos_token_id", None)
  if ends:
    is_same = ends == sorted(own if isinstance(own, list) else [own])
    found = ends if len(ends) > 1 else ends[0]
    ids["eos_token_id"] = own if is_same else found
  return ids


def copy_tokenizer(
  source: str | os.PathLike, directory: str | os.PathLike
) -> None:
  """Puts a model's tokenizer, if it has one, beside a model made from it."""
  folder = resolve(source)

  def copy(new: pathlib.Path) -> None:
    for pattern in TOKENIZER_FILES:
      for file in folder.glob(pattern):
        shutil.copyfile(file, new / file.name)

  if processes.is_main():
    seal(directory, copy)


def seal(
  directory: str | os.PathLike, add: Callable[[pathlib.Path], object]
) -> None:
  """Puts files beside a saved model, and takes them into its digests.

  Args:
    directory: of the model.
    add: writes the files into a local directory.
  """
  place = places.path(directory)
  with places.written(place) as folder:
    add(folder)
    digests.write(folder, beside=None if folder == place else place)


def saved_head(config: Mapping[str, Any]) -> HeadConfig | None:
  """Head of a saved value model, None if `config.json` is another model's.

  Reads our own models and sequence classifiers written by transformers.

  Raises:
    InputError: a head that cannot be.
  """
  architectures, below = config.get("architectures"), 0
  if VALUE_HEAD in config:
    own = config[VALUE_HEAD]
    fields = own if isinstance(own, dict) else {}
    kind, num_atoms = fields.get("kind"), fields.get("num_atoms")
    below = fields.get("predicting_layers", 0)
  elif isinstance(architectures, list) and any(
    row.classifier in architectures for row in families.FAMILIES.values()
  ):
    labels = config.get("id2label")
    num_labels = len(labels) if isinstance(labels, dict) else 2
    kind, num_atoms = "v", config.get("num_labels", num_labels)
  else:
    return None
  if kind not in ("v", "q") or type(num_atoms) is not int or num_atoms < 1:
    raise InputError(
      f"config.json says that the value head is of kind {errors.short(kind)} "
      f"with {errors.short(num_atoms)} atoms; expected 'v' or 'q' and at least "
      "1, check the file"
    )
  if type(below) is not int or below < 0 or (below and kind == "q"):
    raise InputError(
      f"config.json says that the {kind} value head reads the predictions of "
      f"{errors.short(below)} layers; expected a number from 0 for a v head, "
      "and 0 for a q head, check the file"
    )
  return HeadConfig(kind, num_atoms, below)


def value_meaning(config: Mapping[str, Any]) -> Mapping[str, Any]:
  """What was said of a saved value model's logits beside its head's shape."""
  own = config.get(VALUE_HEAD)
  return own if isinstance(own, dict) else {}


def load_language_model(
  path: str | os.PathLike,
  *,
  dtype: str = "float32",
  param_dtype: str = "float32",
  shardings: PyTree | None = None,
) -> tuple[DecoderConfig, PyTree]:
  """Loads a causal language model.

  Args:
    path: directory or Hub name.
    dtype: of activations and matrix products.
    param_dtype: parameters are converted to it.
    shardings: a NamedSharding for each parameter; each process then reads only
      its own slices.

  Returns:
    The config and {"params": ...}, for `LanguageModel.apply`.

  Raises:
    InputError: an unsupported model; a missing, extra, mis-shaped or unreadable
      tensor.
  """
  directory = resolve(path)
  raw = read_config(directory)
  config = families.from_hf(raw, dtype=dtype, param_dtype=param_dtype)
  family = families.family_of(raw)
  entries = list(name_tables.entries(family, config, None))
  sources = loading.sources(
    directory,
    family,
    entries,
    layouts.sizes(config),
    set(),
    is_tied=config.tied_embeddings,
  )
  return config, loading.place(sources, param_dtype, shardings)


def load_value_model(
  path: str | os.PathLike,
  *,
  head: HeadConfig | None = None,
  q_head: Literal["lm_head", "zeros"] = "lm_head",
  dtype: str = "float32",
  param_dtype: str = "float32",
  shardings: PyTree | None = None,
) -> tuple[DecoderConfig, HeadConfig, PyTree]:
  """Loads a saved value model, or starts one from a language model.

  Args:
    path: directory or Hub name.
    head: expected of a saved value model, or the new head for a language model;
      None takes what is saved, or the default head.
    q_head: start of a new one-atom Q-type head: the language model's output
      table, or zeros. V-type heads and those with atoms start from zeros, which
      guide nowhere.
    dtype: of activations and matrix products.
    param_dtype: parameters are converted to it.
    shardings: as in `load_language_model`.

  Returns:
    The config, the head and {"params": ...}, for `ValueModel.apply`.

  Raises:
    InputError: as `load_language_model`; or a saved head that is not `head`.
  """
  directory = resolve(path)
  raw = read_config(directory)
  config = families.from_hf(raw, dtype=dtype, param_dtype=param_dtype)
  family = families.family_of(raw)
  saved = saved_head(raw)
  if saved and head and saved != head:
    raise InputError(f"{path} has {saved}, got {head}; ask for the saved one")
  head = saved or head or HeadConfig()
  sizes = layouts.sizes(config, head)
  *entries, own = name_tables.entries(family, config, head)
  is_copied = head == HeadConfig("q", 1) and q_head == "lm_head"
  if saved:
    entries.append(own)
  else:
    entries = [name_tables.from_language_model(family, e) for e in entries]
  if is_copied and not saved:
    entries.append(name_tables.lm_head_as_q_head(family, config))
  extra = set() if saved else {name_tables.output(family)}
  sources = loading.sources(
    directory,
    family,
    entries,
    sizes,
    extra,
    is_tied=config.tied_embeddings and not saved,
  )
  if not saved and not is_copied:
    sources[own.path] = loading.zeros(layouts.shape(own, sizes))
  return config, head, loading.place(sources, param_dtype, shardings)
