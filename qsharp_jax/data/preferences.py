r"""Preferences: two answers to one question, one of them preferred.

A row of a data set may have any of these forms, told apart by its keys:

- TRL's: `chosen` and `rejected`, as texts or as lists of messages, with a
  `prompt` of either kind or with the prompt in front of both (the messages, or
  the text, that they begin with in common);
- HH-RLHF's: texts of whole dialogues, split at the last "\n\nAssistant:";
- UltraFeedback's, binarized: TRL's with messages and a `prompt` text, and with
  `score_chosen` and `score_rejected`; or as it was made, an `instruction` and
  `completions` with their `overall_score`;
- Nectar's: a `prompt` and `answers` with their `rank`, 1 the best.

Which pairs become of ranked answers is the reader's choice, see `Choice`;
answers of one rank or score, and of one text, make no pair.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import preference_forms, sources
from qsharp_jax.data.preference_forms import Choice


@dataclasses.dataclass(frozen=True)
class Preference:
  """Two answers to a question.

  Attributes:
    id: unique within its source.
    question: a text or a conversation, as `conversations.read` takes it.
    chosen: the preferred answer.
    rejected: the other one.
    margin: by how much it is, in units of the source's scores; None where the
      source does not say.
  """

  id: str
  question: str
  chosen: str
  rejected: str
  margin: float | None = None


def load(
  source: str, *, split: str = "train", choice: Choice = "ends"
) -> list[Preference]:
  """Reads preferences from a source named by one string.

  Args:
    source: `jsonl:PATH`, `parquet:PATH` or `hub:NAME[:CONFIG[:SPLIT]]`, see
      `sources.rows`.
    split: "train", "test", ..., where the source does not name one.
    choice: of the pairs of ranked answers.

  Returns:
    The preferences, at least one, in the order of the rows.

  Raises:
    InputError: names the file and line of the first row that is none.
  """
  found = [
    preference
    for row in sources.rows(source, split=split)
    for preference in parse(row.content, row.id, row.place, choice=choice)
  ]
  if not found:
    raise InputError(
      f"{source}: no preference in it; expected at least one row whose answers "
      "differ in rank"
    )
  return found


def parse(
  row: Any, id_: str, place: str, *, choice: Choice = "ends"
) -> list[Preference]:
  """All preferences of a row.

  Args:
    row: an object in one of the forms above.
    id_: of the preference; of several, the ids are `<id_>.<number>`.
    place: FILE:LINE or the like, for errors.
    choice: of the pairs of ranked answers.

  Raises:
    InputError: a row of another form, a conversation that nobody can answer,
      or answers that do not differ.
  """
  if not isinstance(row, Mapping):
    raise InputError(
      f"{place}: got {type(row).__name__}, expected an object with a "
      "preference; fix the line"
    )
  try:
    found = preference_forms.read(row, choice)
  except InputError as error:
    raise InputError(f"{place}: {error}") from error
  if len(found) == 1:
    return [Preference(id_, *found[0])]
  return [
    Preference(f"{id_}.{i}", *fields) for i, fields in enumerate(found, 1)
  ]
