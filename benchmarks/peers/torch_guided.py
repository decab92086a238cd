"""Guided decoding in PyTorch, the way users have it.

transformers' `generate` with a logits processor that adds the Q# weight of the
k most likely tokens. The two guides differ in how the value model reads the
candidates. `torch_static` is the same without `generate`.
"""

import functools
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
    weights = log_weights(self._logits(input_ids, candidates), self._eta)
    return scores.scatter_add(1, candidates, weights.to(scores.dtype))


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
    mask = additive(mask, self._value.dtype).to(tokens.device)
    out = self._value.model(
      input_ids=tokens,
      attention_mask=mask.expand(len(tokens), -1, -1, -1),
      position_ids=positions.to(tokens.device).expand(len(tokens), -1),
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


def log_weights(value_logits: torch.Tensor, eta: float) -> torch.Tensor:
  """Q# weights ln(1 - p + p exp(1 / eta)) of Bernoulli value logits."""
  softplus, logits = torch.nn.functional.softplus, value_logits.float()
  return softplus(logits + 1 / eta) - softplus(logits)


def _causal(past: int, new: int):
  """What new tokens see [new, past + new], and their positions [1, new]."""
  seen = torch.ones(new, past + new).tril(past).bool()
  return seen, torch.arange(past, past + new)[None]


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
  return seen, positions


def additive(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
  """The mask [1, 1, T, S] that attention adds to its scores."""
  lowest = torch.finfo(dtype).min
  mask = torch.zeros(seen.shape, dtype=dtype, device=seen.device)
  return mask.masked_fill(~seen, lowest)[None, None]


def versions(
  reference,
  value,
  prompts: torch.Tensor,
  *,
  eta: float,
  num_candidates: int,
  num_new_tokens: int,
) -> dict[str, Callable[[], torch.Tensor]]:
  """The same decoding unguided and with each guide, by name, ready to call."""
  guides = {
    "torch_unguided": None,
    "torch_two_pass": TwoPassGuide,
    "torch_one_pass": OnePassGuide,
  }
  return {
    name: functools.partial(
      decode,
      reference,
      prompts,
      num_new_tokens=num_new_tokens,
      make_guide=guide
      and functools.partial(
        guide, value, eta=eta, num_candidates=num_candidates
      ),
    )
    for name, guide in guides.items()
  }


@torch.inference_mode()
def decode(
  reference,
  prompts: torch.Tensor,
  *,
  num_new_tokens: int,
  make_guide: Callable[[], _Guide] | None = None,
  do_sample: bool = True,
) -> torch.Tensor:
  """One `generate`, prefill included; never ends before the limit."""
  processors = transformers.LogitsProcessorList()
  if make_guide is not None:
    processors.append(make_guide())
  tokens = reference.generate(
    prompts,
    attention_mask=torch.ones_like(prompts),
    do_sample=do_sample,
    top_k=0 if do_sample else None,
    max_new_tokens=num_new_tokens,
    min_new_tokens=num_new_tokens,
    logits_processor=processors,
    pad_token_id=0,
  )
  return tokens[:, prompts.shape[1] :]
