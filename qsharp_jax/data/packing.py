"""Sequences of many lengths in rows of one length.

A row holds several sequences side by side; segments keep attention apart and
positions start again, so a packed sequence computes what it would alone.
"""

from collections.abc import Sequence as AnySequence
from typing import NamedTuple

import numpy as np

from qsharp_jax.core.errors import InputError
from qsharp_jax.data import placing
from qsharp_jax.data.ragged import Ragged


class Sequence(NamedTuple):
  """One sequence to train on.

  Attributes:
    tokens: prompt and completion, int32. Shape [n].
    mask: which tokens carry loss, bool. Shape [n].
    labels: what each token is labelled with, one number or a row of F, float32.
      Shape [n] or [n, F].
    group: index of the sequence's question.
  """

  tokens: np.ndarray
  mask: np.ndarray
  labels: np.ndarray
  group: int = 0


class Columns(NamedTuple):
  """Sequences that each have one label, as columns.

  Attributes:
    parts: the tokens of a sequence are those of its entry in every part, one
      after another, such as a prompt and a completion. Each of S entries.
    first_loss: index of the first token that carries loss, int. Shape [S].
    labels: of every token of a sequence, float32. Shape [S].
  """

  parts: tuple[Ragged, ...]
  first_loss: np.ndarray
  labels: np.ndarray


def completion(
  prompt: AnySequence[int],
  tokens: AnySequence[int],
  labels: np.ndarray | None = None,
) -> Sequence:
  """A prompt and its completion, the loss on the completion.

  Args:
    prompt: token ids.
    tokens: of the completion. [n].
    labels: of those tokens, [n] or [n, F]; None labels them 0. The prompt's are
      always 0.
  """
  num = len(prompt)
  whole = np.concatenate([prompt, tokens]).astype(np.int32)
  if labels is None:
    labels = np.zeros(len(tokens), np.float32)
  pad = [(num, 0)] + [(0, 0)] * (labels.ndim - 1)
  return Sequence(whole, np.arange(len(whole)) >= num, np.pad(labels, pad))


class Packed(NamedTuple):
  """Rows of sequences; every field has shape [R, T].

  Attributes:
    tokens: int32; 0 in the padding.
    positions: int32, from 0 in every sequence; -1 in the padding.
    segments: int32, 1, 2, ... along a row; 0 in the padding.
    mask: bool; False in the padding.
    labels: float32; 0 in the padding. Shape [R, T, F] if sequences have [n, F].
    sequence_ids: int32, index of the source sequence; -1 in the padding.
  """

  tokens: np.ndarray
  positions: np.ndarray
  segments: np.ndarray
  mask: np.ndarray
  labels: np.ndarray
  sequence_ids: np.ndarray


PADDING = Packed(
  tokens=np.int32(0),
  positions=np.int32(-1),
  segments=np.int32(0),
  mask=np.bool_(False),
  labels=np.float32(0),
  sequence_ids=np.int32(-1),
)


def padding(
  num_rows: int,
  length: int,
  width: tuple[int, ...] = (),
  **kinds: np.dtype,
) -> Packed:
  """Rows of nothing but padding.

  Args:
    num_rows: R.
    length: T.
    width: (F,) for labels [R, T, F].
    **kinds: of fields that are not of the type that `Packed` names.
  """
  fields = {
    name: np.full((num_rows, length), filler, kinds.get(name, filler.dtype))
    for name, filler in PADDING._asdict().items()
  }
  fields["labels"] = np.zeros((num_rows, length, *width), np.float32)
  return Packed(**fields)


def pack(sequences: AnySequence[Sequence], *, length: int) -> Packed:
  """Packs sequences into as few rows as best-fit-decreasing finds.

  Deterministic. Takes O(n log n + n length / 64) time beyond copying.

  Args:
    sequences: any number; none is cut or left out.
    length: T, the rows' length.

  Returns:
    The rows, in the order in which the algorithm opens them.

  Raises:
    InputError: an empty sequence, one longer than `length`, one whose fields
      differ in length, or labels of different widths.
  """
  sizes = sizes_of(sequences, length)
  return fill(sequences, *placing.best_fit(sizes, length), length)


def pack_columns(columns: Columns, *, length: int) -> Packed:
  """Packs as `pack` does, with no object for each sequence.

  Positions and segments are of the smallest integers that hold them: of many
  rows they would take as much memory as the tokens. What completes rows to
  batches makes them int32.

  Args:
    columns: any number of sequences; none is cut or left out.
    length: T, the rows' length.

  Raises:
    InputError: an empty sequence, or one longer than `length`.
  """
  lengths = [part.lengths for part in columns.parts]
  sizes = np.sum(lengths, axis=0, dtype=np.int64)
  for index in np.flatnonzero((sizes < 1) | (sizes > length))[:1]:
    _check_size(index, sizes[index], length)
  packed, places = _frame(
    sizes, *placing.best_fit(sizes, length), length, is_narrow=True
  )
  tokens, mask, labels = (
    field.reshape(-1) for field in (packed.tokens, packed.mask, packed.labels)
  )
  for chosen in placing.chunks(sizes):
    start, size = places[chosen], sizes[chosen]
    slots = placing.indices(start, size)
    mask[slots] = placing.counts(size) >= np.repeat(
      columns.first_loss[chosen], size
    )
    labels[slots] = np.repeat(columns.labels[chosen], size)
    for part in columns.parts:
      own = part.lengths[chosen]
      source = part.values[placing.indices(part.starts[chosen], own)]
      tokens[placing.indices(start, own)] = source
      start = start + own
  return packed


def most_rows(num_sequences: int, *, longest: int, length: int) -> int:
  """Rows that `pack` never exceeds, however long each sequence is.

  Args:
    num_sequences: number of sequences.
    longest: the most tokens that one of them can have, 1..length.
    length: T, the rows' length.
  """
  # A row with fewer sequences than always fit together still takes the next.
  return -(-num_sequences // (length // longest))


def pad(sequences: AnySequence[Sequence], *, length: int) -> Packed:
  """Puts every sequence in a row of its own, in the given order.

  Args:
    sequences: any number.
    length: T, the rows' length.

  Returns:
    As many rows as sequences, padded at the end.

  Raises:
    InputError: as `pack`.
  """
  sizes = sizes_of(sequences, length)
  rows, starts = np.arange(len(sizes)), np.zeros_like(sizes)
  return fill(sequences, rows, starts, length)


def _check_size(index: int, size: int, length: int) -> None:
  if not 0 < size <= length:
    raise InputError(
      f"sequence {index} has {size} tokens, expected 1..{length}; drop or "
      "shorten it, or pack with a larger length"
    )


def sizes_of(sequences: AnySequence[Sequence], length: int) -> np.ndarray:
  """Tokens of each sequence, [S].

  Raises:
    InputError: one that is empty or longer than a row, or whose fields differ
      in length from each other or from those of the first.
  """
  for index, sequence in enumerate(sequences):
    size = len(sequence.tokens)
    _check_size(index, size, length)
    if not len(sequence.mask) == len(sequence.labels) == size:
      raise InputError(
        f"sequence {index} has {size} tokens, {len(sequence.mask)} mask "
        f"entries and {len(sequence.labels)} labels, expected equal lengths"
      )
    width, first = (np.shape(s.labels)[1:] for s in (sequence, sequences[0]))
    if width != first:
      raise InputError(
        f"sequence {index} has labels of shape {np.shape(sequence.labels)}, "
        f"expected {(size, *first)}, like those of sequence 0"
      )
  return np.array([len(s.tokens) for s in sequences], np.int64)


def fill(
  sequences: AnySequence[Sequence],
  rows: np.ndarray,
  starts: np.ndarray,
  length: int,
) -> Packed:
  """Rows of sequences that are given one by one.

  Args:
    sequences: S of them.
    rows: row of each. Shape [S].
    starts: its first slot there. Shape [S].
    length: T, the rows' length.
  """
  sizes = np.fromiter((len(s.tokens) for s in sequences), np.int64)
  width = np.shape(sequences[0].labels)[1:] if len(sequences) else ()
  packed, places = _frame(sizes, rows, starts, length, width)
  for name in ("tokens", "mask", "labels") if len(sequences) else ():
    field = getattr(packed, name)
    flat = field.reshape(-1, *field.shape[2:])
    source = np.concatenate([getattr(s, name) for s in sequences])
    begin = 0
    for chosen in placing.chunks(sizes):
      end = begin + int(sizes[chosen].sum())
      flat[placing.indices(places[chosen], sizes[chosen])] = source[begin:end]
      begin = end
  return packed


def _frame(
  sizes: np.ndarray,
  rows: np.ndarray,
  starts: np.ndarray,
  length: int,
  width: tuple[int, ...] = (),
  *,
  is_narrow: bool = False,
) -> tuple[Packed, np.ndarray]:
  """Rows that know where each sequence stands, but not yet what it says.

  Returns:
    The rows, and the flat index of the first slot of each sequence [S].
  """
  segments = placing.numbers(rows, starts)
  kinds = {}
  if is_narrow:
    kinds["positions"] = np.min_scalar_type(-length)
    kinds["segments"] = np.min_scalar_type(int(segments.max(initial=0)))
  packed = padding(int(rows.max(initial=-1)) + 1, length, width, **kinds)
  places = rows * length + starts
  for chosen in placing.chunks(sizes):
    size = sizes[chosen]
    slots = placing.indices(places[chosen], size)
    ids = np.arange(chosen.start, chosen.stop)
    packed.positions.reshape(-1)[slots] = placing.counts(size)
    packed.segments.reshape(-1)[slots] = np.repeat(segments[chosen], size)
    packed.sequence_ids.reshape(-1)[slots] = np.repeat(ids, size)
  return packed, places
