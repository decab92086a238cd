"""The prompts of a config's questions."""

import ml_collections

from experiments.configs import base
from experiments.harness import questions
from qsharp_jax import data, rollout
from qsharp_jax.core.errors import InputError


def form(config: ml_collections.ConfigDict) -> data.prompts.Form:
  """How the config's questions become prompts."""
  own = config.data
  # Runs of earlier versions had one instruction, and none of the rest.
  return data.prompts.Form(
    own.prompt,
    instruction=own.get("instruction", base.BOXED),
    system=own.get("system", ""),
    template_kwargs=dict(own.get("template_kwargs", {})),
  )


def problems(
  config: ml_collections.ConfigDict,
  splits: questions.Splits,
  tokenizer: data.Tokenizer,
) -> dict[str, list[rollout.Problem]]:
  """The questions of each split with their prompts.

  Raises:
    InputError: names the question that is none, and says why.
  """
  how = form(config)

  def problem(question: data.Question, split: str) -> rollout.Problem:
    try:
      prompt = data.prompts.render(question.question, tokenizer, how)
    except InputError as error:
      raise InputError(f"question {question.id}: {error}") from error
    return rollout.Problem(
      question.id, prompt, question.answer, split, question.question
    )

  return {
    name: [problem(question, name) for question in found]
    for name, found in splits.items()
  }
