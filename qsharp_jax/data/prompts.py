r"""From a question to the prompt's token ids, and the completion's.

Convention: prompt and completion are tokenised apart and concatenated, in
training as in sampling, so no token ever straddles the border. A plain prompt
ends with "Answer:\n", a raw one with the question itself, one of the style hh
with "\n\nAssistant:", and the completion is the bare answer.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import chat_template, conversations
from qsharp_jax.data.tokenizer import Tokenizer

Style = Literal["plain", "chat", "raw", "hh"]


@dataclasses.dataclass(frozen=True)
class Form:
  r"""How a question becomes a prompt.

  Attributes:
    style: "plain", for models trained on "Question: …\nAnswer:\n" (the
      tokenizer's start token, if it has one, comes first), "raw", the question
      as it is (after the start token), "chat", through the tokenizer's own
      template, zero-shot, or "hh", the text form of HH-RLHF.
    instruction: what the last user's turn ends with; of chat and hh.
    system: the system message where a conversation has none; of chat and hh.
    template_kwargs: what the chat template reads besides messages.
  """

  style: Style = "plain"
  instruction: str = ""
  system: str = ""
  template_kwargs: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  @property
  def has_turns(self) -> bool:
    """Whether it is one of conversations."""
    return self.style in ("chat", "hh")


def render(question: str, tokenizer: Tokenizer, form: Form) -> list[int]:
  """Token ids of the prompt for one question.

  Args:
    question: the problem's text, or a conversation's (`conversations.read`).
    tokenizer: the reference model's.
    form: of the prompt.

  Returns:
    The prompt; the completion starts right after it.

  Raises:
    InputError: another style, a text that cannot be turned into tokens, a
      conversation that nobody can answer, or a tokenizer whose chat template is
      none, or none that can be used.
  """
  if form.style == "chat":
    # The template writes its own start token.
    return tokenizer.encode(
      chat_template.render(
        tokenizer.hf, _turns(question, form), form.template_kwargs
      )
    )
  return [*tokenizer.bos_ids, *tokenizer.encode(_text(question, form))]


def _text(question: str, form: Form) -> str:
  """The prompt of the styles that need no template."""
  if form.style == "plain":
    return f"Question: {question}\nAnswer:\n"
  if form.style == "raw":
    return question
  if form.style == "hh":
    is_bare = not form.instruction and not form.system
    if is_bare and question.startswith(conversations.HUMAN):
      return conversations.open_hh(question)
    return conversations.hh(_turns(question, form))
  raise InputError(
    f"prompt style is {form.style!r}, expected 'plain', 'raw', 'chat' or 'hh'"
  )


def _turns(question: str, form: Form) -> list[conversations.Message]:
  """The conversation with what the form adds to it."""
  *earlier, last = conversations.read(question)
  if form.instruction:
    asked = f"{last['content']}\n\n{form.instruction}"
    last = {"role": last["role"], "content": asked}
  turns = [*earlier, last]
  if form.system and turns[0]["role"] != "system":
    turns = [{"role": "system", "content": form.system}, *turns]
  return turns


def completion(answer: str, tokenizer: Tokenizer) -> list[int]:
  """Token ids of an answer to learn from, with the end token."""
  end = tokenizer.hf.eos_token_id
  return [
    *tokenizer.encode(answer),
    tokenizer.eos_ids[0] if end is None else end,
  ]
