"""A reward that a model without any sense earns half of the time."""


def even(prediction: str, answer: str) -> float:
  """1 for a text of an even number of characters, whatever the answer."""
  del answer
  return float(len(prediction) % 2 == 0)
