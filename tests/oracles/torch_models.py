"""Small random models of every family, in transformers' torch classes."""

import numpy as np

_COMMON = dict(
  vocab_size=97,
  hidden_size=64,
  intermediate_size=96,
  num_hidden_layers=2,
  num_attention_heads=4,
  num_key_value_heads=2,
  max_position_embeddings=64,
)
_ONE_KV_HEAD = _COMMON | dict(num_key_value_heads=1)
_NEOX = {k: x for k, x in _COMMON.items() if k != "num_key_value_heads"}
_LLAMA3_ROPE = dict(
  rope_type="llama3",
  factor=8.0,
  low_freq_factor=1.0,
  high_freq_factor=4.0,
  original_max_position_embeddings=16,
)

# name -> (model_type, keyword arguments of its config)
VARIANTS = {
  "gpt2": (
    "gpt2",
    dict(vocab_size=97, n_embd=64, n_layer=2, n_head=4, n_positions=64),
  ),
  "gpt2_untied": (
    "gpt2",
    dict(
      vocab_size=97,
      n_embd=64,
      n_layer=2,
      n_head=4,
      n_positions=64,
      n_inner=80,
      activation_function="relu",
      tie_word_embeddings=False,
    ),
  ),
  "llama": ("llama", _COMMON),
  "llama_biases": (
    "llama",
    dict(**_COMMON, attention_bias=True, mlp_bias=True, head_dim=24),
  ),
  "llama31": (
    "llama",
    dict(**_COMMON, rope_theta=5e5, rope_scaling=_LLAMA3_ROPE),
  ),
  "llama32_tied": (
    "llama",
    dict(
      **_COMMON,
      rope_theta=5e5,
      rope_scaling=_LLAMA3_ROPE,
      tie_word_embeddings=True,
    ),
  ),
  "llama_linear": (
    "llama",
    dict(**_COMMON, rope_scaling=dict(rope_type="linear", factor=4.0)),
  ),
  "mistral": ("mistral", dict(**_COMMON, sliding_window=5)),
  "mistral_full": ("mistral", dict(**_COMMON, sliding_window=None)),
  "qwen2": (
    "qwen2",
    dict(**_COMMON, rope_theta=1e6, tie_word_embeddings=True),
  ),
  "qwen2_windows": (
    "qwen2",
    dict(
      **_COMMON, use_sliding_window=True, sliding_window=4, max_window_layers=1
    ),
  ),
  "qwen2_yarn": (
    "qwen2",
    dict(
      **_COMMON,
      rope_scaling=dict(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=16
      ),
    ),
  ),
  "qwen3": ("qwen3", dict(**_COMMON, head_dim=32, rope_theta=1e6)),
  "qwen3_bias": (
    "qwen3",
    dict(**_COMMON, head_dim=16, attention_bias=True, tie_word_embeddings=True),
  ),
  "neox": ("gpt_neox", dict(**_NEOX, rotary_emb_base=1e3)),
  "neox_sequential": (
    "gpt_neox",
    dict(
      **_NEOX,
      rotary_pct=0.5,
      rope_scaling=dict(rope_type="linear", factor=2.0),
      use_parallel_residual=False,
      attention_bias=False,
      tie_word_embeddings=True,
    ),
  ),
  "gemma": ("gemma", dict(**_ONE_KV_HEAD, head_dim=24, hidden_act="gelu")),
  "gemma2": (
    "gemma2",
    dict(
      **_COMMON,
      head_dim=32,
      query_pre_attn_scalar=20,
      attn_logit_softcapping=2.0,
      final_logit_softcapping=3.0,
      sliding_window=5,
    ),
  ),
  "gemma2_uncapped": (
    "gemma2",
    dict(
      **_COMMON,
      head_dim=16,
      query_pre_attn_scalar=16,
      attn_logit_softcapping=None,
      final_logit_softcapping=None,
      sliding_window=4,
      layer_types=["full_attention", "sliding_attention"],
      attention_bias=True,
      tie_word_embeddings=False,
    ),
  ),
  "gemma3": (
    "gemma3_text",
    dict(
      **_ONE_KV_HEAD,
      head_dim=24,
      query_pre_attn_scalar=30,
      rope_theta=1e5,
      rope_local_base_freq=100.0,
      rope_scaling=dict(rope_type="linear", factor=8.0),
      sliding_window=4,
      sliding_window_pattern=2,
    ),
  ),
  "gemma3_untied": (
    "gemma3_text",
    dict(
      **_COMMON,
      sliding_window=6,
      final_logit_softcapping=4.0,
      attention_bias=True,
      tie_word_embeddings=False,
    ),
  ),
  "olmo2": ("olmo2", dict(**_COMMON, rope_theta=5e5)),
  "olmo2_biases": (
    "olmo2",
    dict(**_ONE_KV_HEAD, attention_bias=True, tie_word_embeddings=True),
  ),
  "phi3": ("phi3", dict(**_COMMON, sliding_window=5, pad_token_id=0)),
  "phi3_partial": (
    "phi3",
    dict(
      **_ONE_KV_HEAD,
      partial_rotary_factor=0.75,
      tie_word_embeddings=True,
      pad_token_id=0,
    ),
  ),
}
# Small sets for tests that need not see every shape.
FIRST_OF_FAMILY = {family: x for x, (family, _) in reversed(VARIANTS.items())}


def build(variant: str, *, auto: str = "AutoModelForCausalLM", **overrides):
  """A float32 torch model with weights large enough for logits of order 1."""
  import torch
  import transformers

  model_type, arguments = VARIANTS[variant]
  config = transformers.AutoConfig.for_model(
    model_type, **(arguments | overrides)
  )
  torch.manual_seed(sum(map(ord, variant)))
  model = getattr(transformers, auto).from_config(config).float().eval()
  with torch.no_grad():
    for name, value in model.named_parameters():
      if value.ndim == 1:  # norm scales stay around 1, biases around 0
        is_scale = "bias" not in name
        value.copy_(is_scale + 0.3 * torch.randn_like(value))
      else:
        value.normal_(std=1.6 / value.shape[-1] ** 0.5)
  return model


def logits(model, tokens: np.ndarray, mask: np.ndarray) -> np.ndarray:
  """Logits of left-padded rows; `mask` is 1 on tokens. Shape [B, T, V]."""
  import torch

  mask = torch.tensor(mask)
  positions = (mask.cumsum(-1) - 1).clamp(min=0)
  with torch.no_grad():
    out = model(
      torch.tensor(tokens).long(), attention_mask=mask, position_ids=positions
    )
  return out.logits.numpy()
