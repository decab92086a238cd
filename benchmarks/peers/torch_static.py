"""Guided decoding in PyTorch, as well as it goes.

One pass over [newest, candidates], preallocated caches, a compiled step, and
on CPU weights packed for the number of rows that they will meet: nothing is
allocated or decided on the host between two tokens.
"""

import torch
import transformers

from benchmarks.peers import torch_guided, torch_packed


class StaticDecoder:
  """One pass over [newest, candidates], static caches, compiled where asked.

  Its buffers and its compiled step serve every call.
  """

  def __init__(
    self,
    reference,
    value=None,
    *,
    batch: int,
    max_length: int,
    eta: float = float("inf"),
    num_candidates: int = 20,
    compile_mode: str | None = None,
  ):
    """Allocates both caches.

    Args:
      reference: a causal language model of transformers.
      value: a sequence classifier of transformers with one label.
      batch: prompts decoded together.
      max_length: most tokens of a prompt and its completion.
      eta: KL weight, in reward units.
      num_candidates: tokens that get values.
      compile_mode: `mode` of torch.compile; None leaves the step eager.
    """
    if reference.device.type == "cpu":
      reference = torch_packed.pack(reference, batch)
      value = value and torch_packed.pack(value, batch * (1 + num_candidates))
    self._reference, self._value = reference, value
    self._eta, self._k = eta, num_candidates
    static = lambda model, size: transformers.StaticCache(
      config=model.config, max_cache_len=size
    )
    self._ref_cache = static(reference, max_length)
    # The candidates are written too, after the newest token: the next step
    # writes over them.
    self._value_cache = value and static(value, max_length + num_candidates)
    self._size = max_length
    self._run = self._step
    if compile_mode:
      self._run = torch.compile(self._step, mode=compile_mode, fullgraph=True)

  @torch.inference_mode()
  def __call__(
    self, prompts: torch.Tensor, *, num_new_tokens: int
  ) -> torch.Tensor:
    """New tokens of `prompts` [B, P], prefill included: [B, num_new_tokens]."""
    past = prompts.shape[1] - 1
    self._prefill(prompts[:, :-1])
    newest = prompts[:, -1:].clone()
    position = torch.tensor(past, device=prompts.device)
    tokens = []
    for _ in range(num_new_tokens):
      if prompts.is_cuda:
        torch.compiler.cudagraph_mark_step_begin()
      newest = self._run(newest, position).clone()
      tokens.append(newest)
      position += 1
    return torch.cat(tokens, dim=1)

  def _prefill(self, head: torch.Tensor) -> None:
    """Reads all but the last prompt token into both caches."""
    _read(self._reference, head, self._ref_cache, 0)
    if self._value is not None:
      _read(self._value, head, self._value_cache, 0)

  def _step(self, newest: torch.Tensor, position: torch.Tensor):
    """The next token [B, 1], after the newest [B, 1] at `position`."""
    seen = torch.arange(self._size, device=newest.device)[None] <= position
    hidden = _read(self._reference, newest, self._ref_cache, position, seen)
    logits = self._reference.lm_head(hidden[:, -1])
    if self._value is not None:
      candidates = logits.topk(self._k, dim=-1).indices
      values = self._values(newest, candidates, position)
      weights = torch_guided.log_weights(values, self._eta).to(logits.dtype)
      logits = logits.scatter_add(1, candidates, weights)
    return self._draw(logits)

  def _values(self, newest, candidates, position):
    """Value logits of the candidates: [B, k]."""
    size, device = self._size + self._k, newest.device
    slots = torch.arange(size, device=device)[None]
    own = position + torch.arange(self._k + 1, device=device)[:, None]
    block = torch.cat([newest, candidates], dim=1)
    hidden = _read(
      self._value,
      block,
      self._value_cache,
      position,
      (slots <= position) | (slots == own),
      torch.clamp(own.T, max=position + 1),
    )
    return self._value.score(hidden[:, 1:])[..., 0]

  def _draw(self, logits: torch.Tensor) -> torch.Tensor:
    """One token a row [B, 1], by inverting the cumulative distribution.

    `multinomial` draws a number for every token of the vocabulary, which takes
    twenty times as long.
    """
    sums = torch.softmax(logits.float(), dim=-1).cumsum(dim=-1)
    chosen = torch.rand_like(sums[:, :1]) * sums[:, -1:]
    tokens = torch.searchsorted(sums, chosen, right=True)
    return tokens.clamp(max=logits.shape[1] - 1)  # a rounded product may reach


def _read(model, tokens, cache, start, seen=None, positions=None):
  """Hidden states of tokens [B, T], written into slots `start` onwards.

  Without `seen` [T, slots] the tokens see those before them, from slot 0 on.
  """
  for layer in cache.layers:
    layer.cumulative_length.copy_(torch.as_tensor(start))
  batch, time = tokens.shape
  if positions is None:
    positions = start + torch.arange(time, device=tokens.device)[None]
  mask = None if seen is None else torch_guided.additive(seen, model.dtype)
  out = model.model(
    input_ids=tokens,
    attention_mask=None if mask is None else mask.expand(batch, -1, -1, -1),
    position_ids=positions.expand(batch, -1),
    past_key_values=cache,
    use_cache=True,
  )
  return out.last_hidden_state
