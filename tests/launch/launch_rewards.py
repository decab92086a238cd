"""A reward that a model of one layer differs in: it counts letters."""


def length(prediction, answer):
  del answer
  return float(len(prediction) % 2)
