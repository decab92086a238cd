"""Answers as they grow, and the objects that clients get of them."""

import math
import time
import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.serving.asked import Asked
from experiments.serving.service import Service
from qsharp_jax.generate import next_token
from qsharp_jax.serving import jobs, text

_LEAST = -9999.0  # stands for minus infinity, which JSON does not have

# Tokens with their log-probability and alternatives by token id.
Scored = list[tuple[int, float | None, dict[int, float]]]


class Answer:
  """One sample while it comes.

  Attributes:
    text: what has been given out.
    reason: why it is over; None before.
    num_tokens: that it took.
  """

  def __init__(self, index: int, service: Service, asked: Asked):
    """An answer without any token yet."""
    self.index, self.reason = index, None
    self._text = text.Text(
      service.tokenizer.decode, [*asked.stops, *service.stops]
    )
    self._num_top = asked.num_top

  @property
  def num_tokens(self) -> int:
    """Tokens that it took, those of a stop string included."""
    return self._text.num_tokens

  def add(self, progress: jobs.Progress) -> tuple[str, Scored]:
    """What is new in it."""
    before = self.num_tokens
    new = self._text.add(progress.tokens)
    if self._text.is_stopped:
      self.reason = "stop"
    elif progress.is_over:
      self.reason = "stop" if progress.has_ended else "length"
      new += self._text.finish()
      # What was held back may have become a stop string's end.
      self.reason = "stop" if self._text.is_stopped else self.reason
    found: Scored = []
    if self._num_top is not None:
      number = self.num_tokens - before
      found = scored(
        progress.tokens[:number],
        progress.log_probs[:number],
        progress.top,
        self._num_top,
      )
    return new, found


def scored(
  tokens: Sequence[int],
  log_probs: Sequence[float],
  top: next_token.Top | None,
  num_top: int,
) -> Scored:
  """Tokens with their log-probabilities and alternatives."""
  found: Scored = []
  for i, (token, log_prob) in enumerate(zip(tokens, log_probs, strict=True)):
    others = {}
    if top is not None:
      pairs = zip(top.tokens[i], top.log_probs[i], strict=True)
      others = {int(t): _finite(p) for t, p in list(pairs)[:num_top]}
    found.append((int(token), _finite(log_prob), others))
  return found


def _finite(log_prob: float | np.floating) -> float:
  return float(log_prob) if math.isfinite(log_prob) else _LEAST


class Writer:
  """Writes the objects of one request."""

  def __init__(self, service: Service, asked: Asked):
    """Numbers the request."""
    self._service, self._asked = service, asked
    kind = "chatcmpl" if asked.is_chat else "cmpl"
    self._head = {
      "id": f"{kind}-{uuid.uuid4().hex}",
      "created": int(time.time()),
      "model": service.name,
    }

  def whole(
    self,
    texts: Sequence[str],
    found: Sequence[Scored],
    reasons: Sequence[str],
    usage: dict[str, int],
  ) -> dict[str, Any]:
    """The object of a request that was not streamed."""
    choices = []
    for i, content in enumerate(texts):
      choice = {"index": i, "finish_reason": reasons[i]}
      choice["logprobs"] = self._log_probs(found[i], 0)
      if self._asked.is_chat:
        choice["message"] = {
          "role": "assistant",
          "content": content,
          "refusal": None,
        }
      else:
        choice["text"] = content
      choices.append(choice)
    return self._object(choices) | {"usage": usage}

  def part(
    self,
    index: int,
    content: str,
    found: Scored,
    reason: str | None,
    *,
    offset: int = 0,
    is_first: bool = False,
  ) -> dict[str, Any]:
    """One object of a stream.

    Args:
      index: of the choice.
      content: the new text.
      found: its tokens.
      reason: why the choice is over, if it is.
      offset: characters of the choice before.
      is_first: whether it is the choice's first.
    """
    choice: dict[str, Any] = {"index": index, "finish_reason": reason}
    choice["logprobs"] = self._log_probs(found, offset)
    if self._asked.is_chat:
      role = {"role": "assistant"} if is_first else {}
      choice["delta"] = role | {"content": content}
    else:
      choice["text"] = content
    usage = {"usage": None} if self._asked.has_usage else {}
    return self._object([choice], is_part=True) | usage

  def end(self, usage: dict[str, int]) -> dict[str, Any]:
    """The last object of a stream that asked for usage."""
    return self._object([], is_part=True) | {"usage": usage}

  def _object(
    self, choices: list[dict[str, Any]], *, is_part: bool = False
  ) -> dict[str, Any]:
    chat = "chat.completion.chunk" if is_part else "chat.completion"
    kind = chat if self._asked.is_chat else "text_completion"
    return self._head | {"object": kind, "choices": choices}

  def _log_probs(self, found: Scored, offset: int) -> dict[str, Any] | None:
    if self._asked.num_top is None:
      return None
    if self._asked.is_chat:
      return {"content": [self._entry(*one) for one in found], "refusal": None}
    pieces = [self._piece(token) for token, _, _ in found]
    starts = np.cumsum([offset, *map(len, pieces)])[:-1]
    return {
      "tokens": pieces,
      "token_logprobs": [log_prob for _, log_prob, _ in found],
      "top_logprobs": [
        {self._piece(t): p for t, p in others.items()}
        if log_prob is not None
        else None
        for _, log_prob, others in found
      ],
      "text_offset": starts.tolist(),
    }

  def _entry(
    self, token: int, log_prob: float | None, others: dict[int, float]
  ) -> dict[str, Any]:
    own = self._named(token, log_prob)
    return own | {
      "top_logprobs": [self._named(t, p) for t, p in others.items()]
    }

  def _named(self, token: int, log_prob: float | None) -> dict[str, Any]:
    piece = self._piece(token)
    return {
      "token": piece,
      "logprob": log_prob,
      "bytes": list(piece.encode()),
    }

  def _piece(self, token: int) -> str:
    return self._service.piece(token)


def usage(asked: Asked, num_written: int) -> dict[str, int]:
  """Tokens read and written; a prompt counts once, however many its samples."""
  num_read = sum(map(len, asked.prompts))
  return {
    "prompt_tokens": num_read,
    "completion_tokens": num_written,
    "total_tokens": num_read + num_written,
  }
