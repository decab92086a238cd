r"""From a question to the prompt's token ids, and the completion's.

Convention: prompt and completion are tokenised apart and concatenated, in
training as in sampling, so no token ever straddles the border. A plain prompt
ends with "Answer:\n", a raw one with the question itself, and the completion is
the bare answer.
"""

from typing import Literal

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import chat_template
from qsharp_jax.data.tokenizer import Tokenizer

Style = Literal["plain", "chat", "raw"]
INSTRUCTION = "Reason step by step, and put the final answer inside \\boxed{}."


def render(question: str, tokenizer: Tokenizer, *, style: Style) -> list[int]:
  r"""Token ids of the prompt for one question.

  Args:
    question: the problem's text.
    tokenizer: the reference model's.
    style: "plain", for models trained on "Question: …\nAnswer:\n" (the
      tokenizer's start token, if it has one, comes first), "raw", the question
      as it is (after the start token), or "chat", one user turn through the
      tokenizer's own template, zero-shot, asking for `\boxed{}`.

  Returns:
    The prompt; the completion starts right after it.

  Raises:
    InputError: another style, a text that cannot be turned into tokens, or a
      tokenizer whose chat template is none, or none that can be used.
  """
  if style in ("plain", "raw"):
    plain = f"Question: {question}\nAnswer:\n"
    text = question if style == "raw" else plain
    return [*tokenizer.bos_ids, *tokenizer.encode(text)]
  if style != "chat":
    raise InputError(
      f"prompt style is {style!r}, expected 'plain', 'raw' or 'chat'"
    )
  text = chat_template.render(tokenizer.hf, f"{question}\n\n{INSTRUCTION}")
  # The template writes its own start token.
  return tokenizer.encode(text)


def completion(answer: str, tokenizer: Tokenizer) -> list[int]:
  """Token ids of an answer to learn from, with the end token."""
  end = tokenizer.hf.eos_token_id
  return [
    *tokenizer.encode(answer),
    tokenizer.eos_ids[0] if end is None else end,
  ]
