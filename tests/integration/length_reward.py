"""Rewards that a model without any sense earns half of the time."""

from qsharp_jax import rewards


def even(prediction: str, answer: str) -> float:
  """1 for a text of an even number of characters, whatever the answer."""
  del answer
  return float(len(prediction) % 2 == 0)


def fragile(prediction: str, answer: str) -> float:
  """`even`, but it raises for one text in five, and is NaN for another.

  Single characters, such as gold letters, are graded.
  """
  if len(prediction) < 2:
    return even(prediction, answer)
  if len(prediction) % 5 == 0:
    raise KeyError("no such\nlength")
  if len(prediction) % 5 == 1:
    return float("nan")
  return even(prediction, answer)


@rewards.declare(is_batched=True)
def parity(predictions, answers, *, prompt):
  """0.37 where prediction and prompt differ by an even length, else -2.5."""
  del answers
  return [
    0.37 if (len(text) - len(question)) % 2 == 0 else -2.5
    for text, question in zip(predictions, prompt, strict=True)
  ]
