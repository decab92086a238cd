"""Continuous batching for whoever comes: jobs join the batch between turns.

An answer depends on its own prompt, seed and settings alone, not on who shares
the batch, when it joined or who left: it is the one that `generate.generate`
gives. The engine knows no network, no text and no threads.
"""

import collections
from collections.abc import Callable, Sequence

import jax
import numpy as np

from qsharp_jax.core.arrays import PyTree
from qsharp_jax.generate import decode as decode_lib
from qsharp_jax.generate import policy as policy_lib
from qsharp_jax.generate import reading
from qsharp_jax.generate import requests as requests_lib
from qsharp_jax.generate import state as state_lib
from qsharp_jax.serving import jobs


class Engine:
  """A running batch, and the queue before it.

  Attributes:
    policy: what samples.
    sizes: what it was made for.
    num_written: tokens written so far.
    num_read: prompt tokens read so far.
  """

  def __init__(
    self,
    policy: policy_lib.Policy,
    params: PyTree,
    sizes: jobs.Sizes,
    *,
    place: Callable[[PyTree], PyTree] = jax.device_put,
  ):
    """Puts the caches of all rows on the devices; nothing grows later.

    Args:
      policy: whose guidance is a `Choice`, or that has none.
      params: see `Policy`.
      sizes: of the batch.
      place: puts arrays with a leading batch dimension on the devices.
    """
    self.policy, self.sizes = policy, sizes
    self.num_written = self.num_read = 0
    self._params, self._place = params, place
    self._waiting: collections.OrderedDict[int, jobs.Job]
    self._waiting = collections.OrderedDict()
    self.reset()

  def reset(self) -> None:
    """Forgets all rows and the queue."""
    self._waiting.clear()
    self._owners: list[int | None] = [None] * self.sizes.num_rows
    self._told = [0] * self.sizes.num_rows  # tokens of the row so far
    self._dropped: set[int] = set()  # rows to be released
    self._state = self._read([], self.sizes.num_rows, 2, self.sizes.max_length)

  @property
  def num_waiting(self) -> int:
    """Jobs in the queue."""
    return len(self._waiting)

  @property
  def num_busy(self) -> int:
    """Rows in use."""
    return sum(owner is not None for owner in self._owners)

  @property
  def tickets(self) -> list[int]:
    """Of all jobs, in a row or in the queue."""
    return [t for t in self._owners if t is not None] + list(self._waiting)

  @property
  def is_idle(self) -> bool:
    """Whether a turn would do nothing."""
    return not self.num_waiting and not self.num_busy and not self._dropped

  def submit(self, ticket: int, job: jobs.Job) -> None:
    """Puts a job into the queue.

    Args:
      ticket: its name, which no other job has.
      job: what `jobs.check` lets pass.
    """
    self._waiting[ticket] = job

  def cancel(self, ticket: int) -> None:
    """Takes a job out of the queue or its row; one that is over is no fault."""
    self._waiting.pop(ticket, None)
    if ticket in self._owners:
      row = self._owners.index(ticket)
      self._owners[row] = None
      self._dropped.add(row)

  def turn(self) -> list[jobs.Progress]:
    """Lets jobs join, decodes for a few turns, and tells what was written."""
    self._release()
    self._admit()
    if not self.num_busy:
      return []
    # With a queue, rows that have finished are not kept waiting for the others.
    num_finished = self.sizes.num_rows
    if self._waiting:
      num_finished = min(num_finished, self.sizes.num_entering)
    self._state = decode_lib.decode_some(
      self.policy,
      self._params,
      self._state,
      np.int32(num_finished),
      np.int32(self.sizes.num_turns),
    )
    return self._tell()

  def warm(self) -> None:
    """Compiles every program that jobs can need."""
    for width in self.sizes.widths:
      for size in sorted({1, self.sizes.num_entering}):
        newcomers = self._read([], size, width)
        nowhere = np.full(size, self.sizes.num_rows, np.int32)
        self._state = state_lib.admit(self._state, newcomers, nowhere)
    limits = np.int32(self.sizes.num_rows + 1), np.int32(1)
    self._state = decode_lib.decode_some(
      self.policy, self._params, self._state, *limits
    )
    rows = np.zeros(self.sizes.num_rows, bool)
    self._state = state_lib.release(self._state, rows)

  def _release(self) -> None:
    if not self._dropped:
      return
    rows = np.zeros(self.sizes.num_rows, bool)
    rows[list(self._dropped)] = True
    self._dropped.clear()
    self._state = state_lib.release(self._state, rows)

  def _admit(self) -> None:
    """Gives free rows to those that wait, in the order of their coming."""
    free = [i for i, owner in enumerate(self._owners) if owner is None]
    while free and self._waiting:
      most = self.sizes.num_entering
      number = min(len(free), len(self._waiting), most)
      # One alone is read alone: padding costs as much as a prompt.
      size = 1 if number == 1 else most
      entering = [self._waiting.popitem(last=False) for _ in range(number)]
      rows, free = free[: len(entering)], free[len(entering) :]
      self._enter(entering, rows, size)

  def _enter(
    self,
    entering: Sequence[tuple[int, jobs.Job]],
    rows: Sequence[int],
    size: int,
  ) -> None:
    batch = [job for _, job in entering]
    lengths = [len(job.prompt) for job in batch]
    newcomers = self._read(batch, size, self.sizes.width(max(lengths)))
    where = np.full(size, self.sizes.num_rows, np.int32)
    where[: len(rows)] = rows
    self._state = state_lib.admit(self._state, newcomers, where)
    for row, (ticket, _) in zip(rows, entering, strict=True):
      self._owners[row], self._told[row] = ticket, 0
    self.num_read += sum(lengths)

  def _read(
    self,
    batch: Sequence[jobs.Job],
    num_rows: int,
    width: int,
    num_slots: int = 0,
  ) -> state_lib.DecodeState:
    """Rows that have read their prompts, and padding up to `num_rows`."""
    prompts = [job.prompt for job in batch]
    prompts += [[0]] * (num_rows - len(batch))
    tokens, positions = reading.right_align(prompts, bucket=width)
    return state_lib.prefill(
      self.policy,
      self._params,
      *self._place((tokens, positions, _controls(batch, num_rows))),
      num_slots=max(num_slots, width - 1),
      num_new_tokens=self.sizes.max_new_tokens,
    )

  def _tell(self) -> list[jobs.Progress]:
    """What every row has written since the last time."""
    state = self._state
    found = jax.device_get(
      (state.finished, state.ended, state.lengths, state.tokens)
      + (state.log_probs, state.top)
    )
    finished, ended, lengths, tokens, log_probs, top = found
    told = []
    for row, owner in enumerate(self._owners):
      if owner is None:
        continue
      new = slice(self._told[row], int(lengths[row]))

      def cut(table, row=row, new=new):
        return table[row, new].copy()

      self.num_written += new.stop - new.start
      self._told[row] = new.stop
      told.append(
        jobs.Progress(
          owner,
          cut(tokens),
          cut(log_probs),
          None if top is None else jax.tree.map(cut, top),
          bool(finished[row]),
          bool(ended[row]),
        )
      )
      if finished[row]:
        self._owners[row] = None
    return told


def _controls(batch: Sequence[jobs.Job], num_rows: int) -> policy_lib.Controls:
  """Per-row controls; padding rows may write no token."""

  def column(name: str, fill: float, dtype: type) -> np.ndarray:
    found = [getattr(job, name) for job in batch]
    return np.array(found + [fill] * (num_rows - len(batch)), dtype)

  return policy_lib.Controls(
    seeds=column("seed", 0, np.uint32),
    eta=column("eta", np.inf, np.float32),
    guided_steps=np.full(num_rows, requests_lib.NEVER, np.int32),
    max_new_tokens=column("max_new_tokens", 0, np.int32),
    temperature=column("temperature", 1, np.float32),
    top_p=column("top_p", 1, np.float32),
    which=column("which", 0, np.int32),
    num_candidates=column("num_candidates", 1, np.int32),
  )
