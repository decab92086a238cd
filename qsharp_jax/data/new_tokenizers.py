"""Tokenizers made for small references: byte-level BPE, or whole words."""

import pathlib
from collections.abc import Iterable
from typing import Any

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import tokenizer
from qsharp_jax.data.tokenizer import Tokenizer

_PAD, _END, _UNKNOWN = "<|pad|>", "<|end|>", "<|unknown|>"
# A number of up to three digits, with the space before it, may be one token.
_PIECES = (
  r"[^\r\n\p{L}\p{N}]?\p{L}+| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
  r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def train_byte_level_bpe(
  texts: Iterable[str], *, vocab_size: int, directory: str | pathlib.Path
) -> Tokenizer:
  """Trains a byte-level BPE tokenizer and saves it, deterministically.

  Digits form groups of up to three, with a space before them if there is one:
  numbers in 0..999 that are frequent enough become single tokens.

  Args:
    texts: the corpus.
    vocab_size: at most this many ids; >= 258, the bytes and two specials.
    directory: where the Hugging Face tokenizer folder is written.

  Returns:
    The tokenizer, as it is loaded again. Id 0 pads, id 1 ends a text.

  Raises:
    InputError: too small a vocabulary.
  """
  if vocab_size < 258:
    raise InputError(f"vocab_size is {vocab_size}, expected at least 258")
  import tokenizers

  splits = tokenizers.pre_tokenizers
  model = tokenizers.Tokenizer(tokenizers.models.BPE())
  model.pre_tokenizer = splits.Sequence(
    [
      splits.Split(tokenizers.Regex(_PIECES), behavior="isolated"),
      splits.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
  )
  model.decoder = tokenizers.decoders.ByteLevel()
  trainer = tokenizers.trainers.BpeTrainer(
    vocab_size=vocab_size,
    special_tokens=[_PAD, _END],
    initial_alphabet=sorted(splits.ByteLevel.alphabet()),
    show_progress=False,
  )
  model.train_from_iterator(texts, trainer)
  return _written(model, directory)


def word_level(
  words: Iterable[str], *, directory: str | pathlib.Path
) -> Tokenizer:
  """Writes a tokenizer of whole words: a number is one token.

  Text is cut at spaces, commas, bars and slashes, which vanish, and around any
  other character that is neither letter nor digit. What is not among the words
  becomes one unknown token. Decoded words are joined by single spaces.

  Args:
    words: the vocabulary, without repeats.
    directory: where the Hugging Face tokenizer folder is written.

  Returns:
    The tokenizer, as it is loaded again. Id 0 pads, id 1 ends a text, id 2 is
    unknown; the words follow in order.
  """
  import tokenizers

  splits = tokenizers.pre_tokenizers
  specials = [_PAD, _END, _UNKNOWN]
  vocabulary = {word: i for i, word in enumerate([*specials, *words])}
  model = tokenizers.Tokenizer(
    tokenizers.models.WordLevel(vocabulary, unk_token=_UNKNOWN)
  )
  model.pre_tokenizer = splits.Sequence(
    [
      splits.Split(tokenizers.Regex(r"[,|/\s]+"), behavior="removed"),
      splits.Split(tokenizers.Regex(r"[^\p{L}\p{N}]"), behavior="isolated"),
    ]
  )
  return _written(model, directory, unk_token=_UNKNOWN)


def _written(
  model: Any, directory: str | pathlib.Path, **special_tokens: str
) -> Tokenizer:
  """Saves a tokenizer as a Hugging Face folder, and reads it back."""
  tokenizer.auto_tokenizer()  # so that the import says nothing of torch
  import transformers

  hf = transformers.PreTrainedTokenizerFast(
    tokenizer_object=model, eos_token=_END, pad_token=_PAD, **special_tokens
  )
  hf.save_pretrained(str(directory))
  return tokenizer.load(directory)
