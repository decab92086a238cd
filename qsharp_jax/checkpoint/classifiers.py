"""Sequence classifiers of Hugging Face, such as reward models.

A classifier of transformers (`LlamaForSequenceClassification` and its like) is
a decoder with a table `score` that maps the hidden state of a text's last token
to its labels; a reward model has one label and its score is the logit as it is.
That is our value model with a V-type head, read at the last token alone:

    config, head, params = classifiers.load(directory)
    model = models.ValueModel(config, head)
    logits = model.apply(params, tokens, positions)  # [B, T, labels]
    scores = logits[rows, last]  # last: index of each row's last real token

Which token is the last is the caller's to say, by a mask: an end token that is
also the padding token counts. Packed rows are read with `segments`.
"""

import os

from qsharp_jax.checkpoint import families, huggingface
from qsharp_jax.core import errors
from qsharp_jax.core.arrays import PyTree
from qsharp_jax.core.errors import InputError
from qsharp_jax.models import DecoderConfig, HeadConfig


def describe(
  path: str | os.PathLike,
  *,
  dtype: str = "float32",
  param_dtype: str = "float32",
) -> tuple[DecoderConfig, HeadConfig]:
  """Sizes of a classifier, one atom of the head a label; reads no weights.

  Args:
    path: directory or Hub name.
    dtype: of activations and matrix products.
    param_dtype: of parameters.

  Raises:
    InputError: no classifier, or one of an unsupported decoder.
  """
  raw = huggingface.read_config(path)
  config = families.from_hf(raw, dtype=dtype, param_dtype=param_dtype)
  head = huggingface.saved_head(raw)
  if head is None or head.kind != "v" or head.is_predicting:
    expected = families.FAMILIES[families.family_of(raw)].classifier
    raise InputError(
      f"{path} is no sequence classifier: its config.json has architectures "
      f"{errors.short(raw.get('architectures'))}; expected {expected}"
    )
  return config, head


def load(
  path: str | os.PathLike,
  *,
  dtype: str = "float32",
  param_dtype: str = "float32",
  shardings: PyTree | None = None,
) -> tuple[DecoderConfig, HeadConfig, PyTree]:
  """Loads a classifier; the module's docstring shows how it is called.

  Args:
    path: directory or Hub name.
    dtype: of activations and matrix products.
    param_dtype: parameters are converted to it.
    shardings: a NamedSharding for each parameter of the `ValueModel` that
      `describe` describes; each process then reads only its own slices.

  Returns:
    The decoder, the head with one atom a label, and {"params": ...}, for
    `ValueModel.apply`.

  Raises:
    InputError: as `describe` and `huggingface.load_value_model`.
  """
  _, head = describe(path)
  return huggingface.load_value_model(
    path,
    head=head,
    dtype=dtype,
    param_dtype=param_dtype,
    shardings=shardings,
  )
