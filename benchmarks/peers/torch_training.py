"""One training step of a V-type value model in PyTorch, as well as it goes.

transformers' sequence classifier without its pooling, `sdpa` attention told
that it is causal (no mask is made), fused AdamW, gradients set to None, and on
demand `torch.compile` around forward pass and loss.
"""

import torch
import transformers


class Trainer:
  """Holds model, optimizer and batch; `step` is the work that is timed."""

  def __init__(
    self,
    folder: str,
    batch: dict,
    *,
    dtype: str,
    learning_rate: float,
    is_remat: bool,
    is_compiled: bool,
  ):
    """Loads a value model; its weights stay float32, `dtype` is of products."""
    self._device = "cuda" if torch.cuda.is_available() else "cpu"
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
      folder, dtype=torch.float32, attn_implementation="sdpa"
    ).to(self._device)
    model.config.use_cache = False
    model.train()
    if is_remat:
      model.gradient_checkpointing_enable({"use_reentrant": False})
    self._model, self._dtype = model, getattr(torch, dtype)
    self._batch = {
      name: torch.tensor(array, device=self._device)
      for name, array in batch.items()
    }
    self._optimizer = torch.optim.AdamW(
      model.parameters(),
      lr=learning_rate,
      betas=(0.9, 0.999),
      eps=1e-8,
      weight_decay=0.01,
      fused=True,
    )
    self._run = torch.compile(self._loss) if is_compiled else self._loss

  def step(self) -> torch.Tensor:
    """One update; the loss before it."""
    loss = self._run()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(self._model.parameters(), 1.0, foreach=True)
    self._optimizer.step()
    self._optimizer.zero_grad(set_to_none=True)
    if self._device == "cuda":
      torch.cuda.synchronize()
    return loss.detach()

  def _loss(self) -> torch.Tensor:
    """Bernoulli cross-entropy, averaged by sequence, then over sequences."""
    batch = self._batch
    with torch.autocast(
      self._device, self._dtype, enabled=self._dtype != torch.float32
    ):
      hidden = self._model.model(
        input_ids=batch["tokens"], use_cache=False
      ).last_hidden_state
      logits = self._model.score(hidden)[..., 0]
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
      logits.float(), batch["labels"], reduction="none"
    )
    mask = batch["mask"].float()
    return ((losses * mask).sum(1) / mask.sum(1)).mean()
