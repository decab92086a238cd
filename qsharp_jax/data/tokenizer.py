"""One small face for Hugging Face tokenizers, and a trainer of tiny ones."""

import codecs
import hashlib
import json
import logging
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Any

from qsharp_jax.core import digests, errors, files, places
from qsharp_jax.core.errors import InputError
from qsharp_jax.data import end_ids

_JSON_FILES = (  # those that transformers reads
  "config.json",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer_config.json",
)
_PROBES = (
  "Ann has 7 pens. She buys 12 and loses 300.",
  "12 + 5 = 17\n#### 17",
  "Convert $\\frac{3}{4}$ to \\boxed{0.75}.",
  "  two  spaces\n\n\ttab, naïve façade, 数学, 1234567890",
)


class Tokenizer:
  """Text to token ids and back; nothing is added unless asked for.

  Attributes:
    hf: the wrapped transformers tokenizer.
    eos_ids: every id that ends an answer, sorted; a model may have several.
    bos_ids: what the tokenizer itself puts before a text: () or one id.
    pad_id: a filler id. Mask by masks, never by it: it may equal an end id.
    vocab_size: 1 + the largest id in use. Embeddings may have more rows.
  """

  def __init__(
    self, hf: Any, *, eos_ids: Iterable[int] = (), num_rows: int | None = None
  ):
    """Wraps a transformers tokenizer.

    Args:
      hf: the tokenizer.
      eos_ids: end ids beyond the tokenizer's own.
      num_rows: of the model's embedding: a model would read a larger id as its
        last one. Added tokens may lie beyond, unless a text holds them.

    Raises:
      InputError: no end id at all, or too few rows.
    """
    self._num_rows = num_rows
    own = () if hf.eos_token_id is None else (hf.eos_token_id,)
    self.hf = hf
    self.eos_ids = tuple(sorted({*own, *eos_ids}))
    if not self.eos_ids:
      raise InputError(
        "the tokenizer names no end-of-text token; set eos_token in its "
        "tokenizer_config.json"
      )
    vocab, added = hf.get_vocab(), hf.get_added_vocab()
    self._check_rows(i for token, i in vocab.items() if token not in added)
    self._check_rows(self.eos_ids)
    pad_id = hf.pad_token_id
    has_row = pad_id is not None and (num_rows is None or pad_id < num_rows)
    self.pad_id = pad_id if has_row else self.eos_ids[0]
    self.vocab_size = 1 + max(vocab.values())
    with_specials = hf("a").input_ids
    has_bos = with_specials[:1] == [hf.bos_token_id]
    self.bos_ids = tuple(with_specials[:1]) if has_bos else ()

  def encode(self, text: str) -> list[int]:
    """Token ids of a text, no special token added.

    Raises:
      InputError: a text that is none, such as one with half a surrogate pair,
        or that has an added token for which the model has no row.
    """
    with errors.foreign(
      f"{errors.short(text)} cannot be turned into tokens", "mend the text"
    ):
      ids = list(self.hf.encode(text, add_special_tokens=False))
    self._check_rows(ids)
    return ids

  def encode_whole(self, text: str) -> list[int]:
    """Token ids of a text with what the tokenizer itself puts around it.

    A start token that the text begins with, too, is there once.

    Raises:
      InputError: as `encode`.
    """
    with errors.foreign(
      f"{errors.short(text)} cannot be turned into tokens", "mend the text"
    ):
      ids = list(self.hf(text).input_ids)
    self._check_rows(ids)
    is_doubled = bool(self.bos_ids) and tuple(ids[:2]) == 2 * self.bos_ids
    return ids[1:] if is_doubled else ids

  def _check_rows(self, ids: Iterable[int]) -> None:
    """Makes sure that the model has a row for every id."""
    largest = max(ids, default=-1)
    if self._num_rows is not None and largest >= self._num_rows:
      token = self.hf.convert_ids_to_tokens(largest)
      raise InputError(
        f"{self.hf.name_or_path}: the tokenizer gives {errors.short(token)} "
        f"the id {largest} and the model has {self._num_rows} rows of "
        "embeddings; expected a row for every id: take the tokenizer that "
        "belongs to the model, or add rows"
      )

  def decode(self, ids: Sequence[int]) -> str:
    """Text of token ids (a list or an integer array); specials are left out."""
    return self.hf.decode(
      [int(i) for i in ids],
      skip_special_tokens=True,
      clean_up_tokenization_spaces=False,
    )

  def fingerprint(self) -> str:
    """Hash of the ordinary vocabulary and of a few encodings.

    Added (special) tokens stay out: a family renames its reserved ones between
    releases, and pads its embeddings differently.

    Returns:
      64 hexadecimal digits.
    """
    added = set(self.hf.get_added_vocab())
    vocab = sorted(
      (index, token)
      for token, index in self.hf.get_vocab().items()
      if token not in added
    )
    probes = [self.encode(text) for text in _PROBES]
    text = json.dumps([vocab, probes])
    return hashlib.sha256(text.encode()).hexdigest()


def load(path: str | os.PathLike) -> Tokenizer:
  """Loads a tokenizer; never runs code that comes with it.

  Args:
    path: a Hugging Face tokenizer folder, or a Hub id.

  Returns:
    The tokenizer, ending at every end id that `generation_config.json` or
    `config.json` beside it names.

  Raises:
    InputError: there is no tokenizer at that place, or a broken one, or one
      with more ids than the model beside it has rows.
  """
  auto = auto_tokenizer()
  if places.is_remote(path):
    path = places.local(path)
  _check_files(pathlib.Path(path))
  with errors.foreign(
    f"{path}: no tokenizer could be loaded",
    "expected a Hugging Face tokenizer folder or Hub id",
  ):
    hf = auto.from_pretrained(str(path), trust_remote_code=False)
    num_rows = end_ids.settings(path, "config.json").get("vocab_size")
    found = Tokenizer(
      hf,
      eos_ids=end_ids.read(path),
      num_rows=num_rows if type(num_rows) is int else None,
    )
    # Some parts of a broken tokenizer fail at their first use.
    found.decode(found.encode(_PROBES[0]))
  return found


def _check_files(directory: pathlib.Path) -> None:
  """Finds damaged files, and JSON that is none, before anything reads them."""
  for name in _JSON_FILES:
    file = directory / name
    if file.is_file():
      files.read_json_object(file)
      if file.read_bytes().startswith(codecs.BOM_UTF8):
        raise InputError(
          f"{file} starts with a byte order mark, which transformers does not "
          "read; save it without"
        )
  names = [x.name for x in directory.glob("*") if x.suffix != ".safetensors"]
  digests.check(directory, names, may_be_replaced=True)


def check_same(reference: Tokenizer, value: Tokenizer) -> None:
  """Makes sure that two tokenizers turn text into the same ids.

  Args:
    reference: the reference model's tokenizer.
    value: the value model's tokenizer.

  Raises:
    InputError: they differ in an ordinary token, in the encoding of a probe
      text, or in the id of a special token that both name.
  """
  ours, theirs = reference.hf.get_added_vocab(), value.hf.get_added_vocab()
  moved = sorted(t for t in ours.keys() & theirs.keys() if ours[t] != theirs[t])
  if moved:
    token = moved[0]
    raise InputError(
      f"special token {token!r} is {ours[token]} for the reference and "
      f"{theirs[token]} for the value model; use models of one family"
    )
  if reference.fingerprint() != value.fingerprint():
    raise InputError(
      f"the tokenizers differ (reference {reference.vocab_size} ids, value "
      f"{value.vocab_size}); guidance needs one tokenizer, use models of one "
      "family"
    )


def auto_tokenizer() -> Any:
  """AutoTokenizer, without the advice to install torch."""

  def quiet(record):
    return "PyTorch was not found" not in record.getMessage()

  logger = logging.getLogger("transformers")
  logger.addFilter(quiet)
  try:
    import transformers

    return transformers.AutoTokenizer
  finally:
    logger.removeFilter(quiet)
