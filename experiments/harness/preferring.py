"""The preferences of a config, in the tokens of its reference."""

import ml_collections

from experiments.harness import prompting
from qsharp_jax import data, rollout
from qsharp_jax.core.errors import InputError


def tokenised(
  config: ml_collections.ConfigDict, tokenizer: data.Tokenizer
) -> list[rollout.Preference]:
  """All pairs of `preferences.source`, as prompts are made; none without it.

  Raises:
    InputError: names the row that is no preference, and says why.
  """
  own = config.get("preferences", {})  # unknown to runs of earlier versions
  if not own or not own["source"]:
    return []
  form = prompting.form(config)

  def pair(given: data.preferences.Preference) -> rollout.Preference:
    def completion(answer):
      return data.prompts.completion(answer, tokenizer)

    try:
      return rollout.Preference(
        data.prompts.render(given.question, tokenizer, form),
        completion(given.chosen),
        completion(given.rejected),
      )
    except InputError as error:
      raise InputError(f"preference {given.id}: {error}") from error

  found = data.preferences.load(own["source"], choice=own["pairs"])
  return [pair(given) for given in found]
