"""What a reward model reads: a question and an answer, as it was taught."""

from qsharp_jax.data import Tokenizer, chat_template, conversations


def tokens(tokenizer: Tokenizer, question: str, answer: str) -> list[int]:
  """Token ids of an answered question, for a reward model.

  The model's own chat template writes them, where its tokenizer has one. One
  without takes a conversation in HH-RLHF's form, and any other question just as
  it is, with the answer right behind it. What the tokenizer puts around a text
  is there once, though a template may write it, too.

  Args:
    tokenizer: the reward model's own.
    question: a text, or a conversation's (`conversations.read`).
    answer: the completion.

  Raises:
    InputError: a conversation that nobody can answer, a text that cannot be
      turned into tokens, or a template that cannot be used.
  """
  if tokenizer.hf.chat_template:
    said = {"role": "assistant", "content": answer}
    turns = [*conversations.read(question), said]
    text = chat_template.render(tokenizer.hf, turns, is_answered=True)
  else:
    text = _before(question) + answer
  return tokenizer.encode_whole(text)


def _before(question: str) -> str:
  """The text that an answer follows."""
  if question.startswith(conversations.HUMAN):
    return conversations.open_hh(question)
  turns = conversations.read(question)
  is_lone = turns == [{"role": "user", "content": question}]
  return question if is_lone else conversations.hh(turns)
