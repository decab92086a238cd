"""Tokenizers that only join pieces of text, and a search written plainly."""

import types

from qsharp_jax.data import stops


def tokenizer(pieces, specials=()):
  """The token of number i says `pieces[i]`; texts become single letters."""
  pieces = list(pieces)

  def decode(ids):
    return "".join(pieces[i] for i in ids if pieces[i] not in specials)

  def encode(text):
    if text in specials:
      return [pieces.index(text)]
    return [pieces.index(letter) for letter in text if letter in pieces]

  return types.SimpleNamespace(
    vocab_size=len(pieces),
    decode=decode,
    encode=encode,
    hf=types.SimpleNamespace(
      batch_decode=lambda rows, **_: [decode(row) for row in rows],
      convert_ids_to_tokens=lambda ids: [pieces[i] for i in ids],
    ),
  )


def shortest(decode, tokens, strings):
  """The fewest first tokens whose text has one of the strings, or all."""
  for length in range(len(tokens) + 1):
    if any(string in decode(tokens[:length]) for string in strings):
      return length
  return len(tokens)


def first_end(text, strings):
  """The text before the string that ends first: letter by letter."""
  for end in range(len(text) + 1):
    ending = [s for s in strings if text[:end].endswith(s)]
    if ending:
      return text[: end - len(max(ending, key=len))]
  return text


def automaton(pieces, strings):
  return stops.automaton(tokenizer(pieces), strings)
