"""A reward that a model without any sense earns half of the time."""


def even(prediction: str, answer: str) -> float:
  """1 for a text of an even number of characters, whatever the answer."""
  del answer
  return float(len(prediction) % 2 == 0)


def fragile(prediction: str, answer: str) -> float:
  """`even`, but it raises for one text in five, and is NaN for another."""
  if len(prediction) % 5 == 0:
    raise KeyError("no such\nlength")
  if len(prediction) % 5 == 1:
    return float("nan")
  return even(prediction, answer)
