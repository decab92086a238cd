"""A small reference model of our own, saved as a Hugging Face directory."""

from collections.abc import Sequence

import jax

from qsharp_jax import data, models, training
from qsharp_jax.checkpoint import huggingface, saving
from qsharp_jax.core import places
from qsharp_jax.sharding import layout as layout_lib
from qsharp_jax.sharding import placement, processes
from qsharp_jax.training import fit as fit_lib

_PLAIN = data.prompts.Form()


def pretrain(
  config: models.DecoderConfig,
  questions: Sequence[data.Question],
  tokenizer: data.Tokenizer,
  how: fit_lib.Fit,
  layout: layout_lib.Layout,
  directory: places.Path,
  *,
  family: str = "llama",
  form: data.prompts.Form = _PLAIN,
) -> None:
  """Trains a model from scratch on answers, into `directory` / "model".

  The loss is on the answers alone: the questions are given, not to be learnt.

  Args:
    config: sizes.
    questions: the corpus.
    tokenizer: its files are saved beside the weights.
    how: hyper-parameters.
    layout: where parameters and batches lie.
    directory: for the model, checkpoints and TensorBoard events.
    family: that `config` belongs to, for export.
    form: of the prompts.
  """
  model = models.LanguageModel(config)
  params = placement.init(
    model, jax.random.key(how.seed), layout.for_training(model)
  )
  packed = rows(questions, tokenizer, form, length=how.max_length)
  params = fit_lib.fit(
    training.objectives.language_model(model),
    params,
    fit_lib.Epochs(packed, how),
    how,
    layout,
    directory,
  )
  end = tokenizer.eos_ids[0]
  saving.save_language_model(
    directory / "model",
    config,
    params,
    family,
    token_ids={"eos_token_id": end, "pad_token_id": tokenizer.pad_id},
  )
  if processes.is_main():
    huggingface.seal(directory / "model", tokenizer.hf.save_pretrained)


def rows(
  questions: Sequence[data.Question],
  tokenizer: data.Tokenizer,
  form: data.prompts.Form,
  *,
  length: int,
) -> data.Packed:
  """Questions with their answers in rows of `length` tokens."""
  sequences = [_sequence(question, tokenizer, form) for question in questions]
  return data.packing.pack(sequences, length=length)


def _sequence(
  question: data.Question,
  tokenizer: data.Tokenizer,
  form: data.prompts.Form,
) -> data.Sequence:
  prompt = data.prompts.render(question.question, tokenizer, form)
  answer = data.prompts.completion(question.answer, tokenizer)
  return data.packing.completion(prompt, answer)
