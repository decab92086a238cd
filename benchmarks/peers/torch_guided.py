"""Guided decoding in PyTorch, the way users have it and as well as it goes.

Both versions are transformers' `generate` with a logits processor that adds
the Q# weight of the k most likely tokens. They differ in how the value model
reads the candidates.
"""

from collections.abc import Callable

import torch
import transformers


class _Guide(transformers.LogitsProcessor):
  """Adds ln(1 - p + p exp(1 / eta)) to the candidates' logits."""

  def __init__(self, value, *, eta: float, num_candidates: int):
    self._value, self._eta, self._k = value, eta, num_candidates
    self._cache = transformers.DynamicCache()
    self._length = 0

  def __call__(self, input_ids, scores):
    candidates = scores.topk(self._k, dim=-1).indices
    logits = self._logits(input_ids, candidates)
    softplus = torch.nn.functional.softplus
    weights = softplus(logits + 1 / self._eta) - softplus(logits)
    return scores.scatter_add(1, candidates, weights)


class TwoPassGuide(_Guide):
  """First the newest token, then the candidates, whose cache is thrown away."""

  def _logits(self, input_ids, candidates):
    new = input_ids[:, self._length :]
    self._forward(new, _causal(self._length, new.shape[1]))
    self._length = input_ids.shape[1]
    hidden = self._forward(candidates, _leaves(self._length, 0, self._k))
    self._cache.crop(-self._k)
    return self._value.score(hidden)[..., 0]

  def _forward(self, tokens, mask_and_positions):
    mask, positions = mask_and_positions
    out = self._value.model(
      input_ids=tokens,
      attention_mask=mask.expand(len(tokens), -1, -1, -1),
      position_ids=positions.expand(len(tokens), -1),
      past_key_values=self._cache,
      use_cache=True,
    )
    return out.last_hidden_state


class OnePassGuide(TwoPassGuide):
  """The newest token and the candidates in one block, as in this project."""

  def _logits(self, input_ids, candidates):
    new = input_ids[:, self._length :]
    if new.shape[1] > 1:  # the prompt, its last token left to the block
      self._forward(new[:, :-1], _causal(self._length, new.shape[1] - 1))
      self._length += new.shape[1] - 1
    block = torch.cat([input_ids[:, -1:], candidates], dim=1)
    hidden = self._forward(block, _leaves(self._length, 1, self._k))
    self._length += 1
    self._cache.crop(-self._k)
    return self._value.score(hidden[:, 1:])[..., 0]


def _causal(past: int, new: int):
  """Additive mask [1, 1, new, past + new] and positions [1, new]."""
  seen = torch.ones(new, past + new).tril(past).bool()
  return _additive(seen), torch.arange(past, past + new)[None]


def _leaves(past: int, kept: int, num_leaves: int):
  """Mask and positions of kept tokens and leaves that hang off the last one."""
  size = kept + num_leaves
  seen = torch.zeros(size, past + size).bool()
  seen[:, : past + kept] = True
  seen[:, past:] |= torch.eye(size).bool()
  if kept:
    seen[0, past + 1 :] = False
  positions = torch.full((1, size), past + kept)
  positions[:, :kept] = past
  return _additive(seen), positions


def _additive(seen: torch.Tensor) -> torch.Tensor:
  lowest = torch.finfo(torch.float32).min
  return torch.where(seen, 0.0, lowest)[None, None]


@torch.inference_mode()
def decode(
  reference,
  prompts: torch.Tensor,
  *,
  num_new_tokens: int,
  make_guide: Callable[[], _Guide] | None = None,
) -> None:
  """One `generate`, prefill included; never ends before the limit."""
  processors = transformers.LogitsProcessorList()
  if make_guide is not None:
    processors.append(make_guide())
  reference.generate(
    prompts,
    attention_mask=torch.ones_like(prompts),
    do_sample=True,
    top_k=0,
    max_new_tokens=num_new_tokens,
    min_new_tokens=num_new_tokens,
    logits_processor=processors,
    pad_token_id=0,
  )
