"""One row a family: what its `config.json` says, and what it leaves unsaid."""

from qsharp_jax.checkpoint import config_keys
from qsharp_jax.checkpoint.family import Family
from qsharp_jax.checkpoint.rotary_keys import RotaryKeys

_WHOLE = {  # of every family
  "quantization_config": None,
  "is_causal": True,
  "is_encoder_decoder": False,
  "add_cross_attention": False,
}
_ONLY = _WHOLE | {"partial_rotary_factor": 1.0}
_SIZES = {
  "vocab_size": "vocab_size",
  "width": "hidden_size",
  "num_layers": "num_hidden_layers",
  "num_heads": "num_attention_heads",
  "mlp_width": "intermediate_size",
  "max_length": "max_position_embeddings",
  "activation": "hidden_act",
  "tied_embeddings": "tie_word_embeddings",
  "init_std": "initializer_range",
}
_ROTARY_KEYS = _SIZES | {
  "num_kv_heads": "num_key_value_heads",
  "head_width": "head_dim",
  "norm_eps": "rms_norm_eps",
}
_BIAS_KEYS = {"qkv_bias": "attention_bias", "output_bias": "attention_bias"}
_ROTARY_DEFAULTS = {
  "num_key_value_heads": None,
  "head_dim": None,
  "rms_norm_eps": 1e-6,
  "hidden_act": "silu",
  "tie_word_embeddings": False,
  "initializer_range": 0.02,
}

_QWEN_DEFAULTS = _ROTARY_DEFAULTS | {
  "use_sliding_window": False,
  "sliding_window": 4096,
  "max_window_layers": 28,
  "layer_types": None,
}

_TANH = "gelu_pytorch_tanh"
_GEMMA_KEYS = _ROTARY_KEYS | _BIAS_KEYS
_GEMMA_DEFAULTS = {
  "attention_bias": False,
  "head_dim": 256,
  "initializer_range": 0.02,
  "rms_norm_eps": 1e-6,
  "tie_word_embeddings": True,
}
_GEMMA_FIXED = {"norm_offset": True, "scaled_embeddings": True}
_GEMMA_2_KEYS = _GEMMA_KEYS | {
  "activation": "hidden_activation",
  "query_scalar": "query_pre_attn_scalar",
  "logit_softcap": "final_logit_softcapping",
}
_GEMMA_2_DEFAULTS = _GEMMA_DEFAULTS | {
  "hidden_activation": _TANH,
  "layer_types": None,
  "num_key_value_heads": 4,
  "query_pre_attn_scalar": 256,
  "sliding_window": 4096,
}
_GEMMA_2_TWINS = {
  "hidden_act": "hidden_activation",
  "sliding_window_size": "sliding_window",
}

_GEMMA = Family(
  language_model="GemmaForCausalLM",
  classifier="GemmaForSequenceClassification",
  keys=_GEMMA_KEYS,
  defaults=_GEMMA_DEFAULTS | {"hidden_act": _TANH, "num_key_value_heads": 16},
  fixed=_GEMMA_FIXED,
  only=_ONLY,
  off=("use_bidirectional_attention",),
  twins={"hidden_activation": "hidden_act"},
  renamed={"hidden_act": {"gelu": _TANH}},
)
_GEMMA_2 = Family(
  language_model="Gemma2ForCausalLM",
  classifier="Gemma2ForSequenceClassification",
  keys=_GEMMA_2_KEYS | {"attention_softcap": "attn_logit_softcapping"},
  defaults=_GEMMA_2_DEFAULTS
  | {
    "attn_logit_softcapping": 50.0,
    "final_logit_softcapping": 30.0,
    "sliding_window_pattern": 2,
  },
  fixed=_GEMMA_FIXED | {"post_norm": True},
  only=_ONLY | {"sliding_window_pattern": 2},
  off=("use_bidirectional_attention",),
  twins=_GEMMA_2_TWINS,
  windows=config_keys.windows_by_period,
)
_GEMMA_3 = Family(
  language_model="Gemma3ForCausalLM",
  classifier="Gemma3TextForSequenceClassification",
  keys=_GEMMA_2_KEYS,
  # Published files leave sizes to the class.
  defaults=_GEMMA_2_DEFAULTS
  | {
    "final_logit_softcapping": None,
    "max_position_embeddings": 131_072,
    "num_attention_heads": 8,
    "sliding_window_pattern": 6,
    "vocab_size": 262_208,
  },
  fixed=_GEMMA_FIXED | {"post_norm": True, "qk_norm": "head"},
  only=_ONLY,
  # transformers has the second switch and does not heed it.
  off=("use_bidirectional_attention", "attn_logit_softcapping"),
  twins=_GEMMA_2_TWINS,
  rotary=RotaryKeys(default_theta=1e6, local="rope_local_base_freq"),
  windows=config_keys.windows_by_period,
)

_GPT2 = Family(
  language_model="GPT2LMHeadModel",
  classifier="GPT2ForSequenceClassification",
  keys={
    "vocab_size": "vocab_size",
    "width": "n_embd",
    "num_layers": "n_layer",
    "num_heads": "n_head",
    "mlp_width": "n_inner",
    "max_length": "n_positions",
    "norm_eps": "layer_norm_epsilon",
    "activation": "activation_function",
    "tied_embeddings": "tie_word_embeddings",
    "init_std": "initializer_range",
  },
  defaults={
    "n_inner": None,
    "layer_norm_epsilon": 1e-5,
    "activation_function": "gelu_new",
    "tie_word_embeddings": True,
    "initializer_range": 0.02,
  },
  fixed={
    "norm": "layer",
    "gated_mlp": False,
    "rope_theta": None,
    "qkv_bias": True,
    "output_bias": True,
    "mlp_bias": True,
  },
  only=_ONLY
  | {
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
  },
  rotary=None,
)
_GPT_NEOX = Family(
  language_model="GPTNeoXForCausalLM",
  classifier="GPTNeoXForSequenceClassification",
  keys=_SIZES
  | _BIAS_KEYS
  | {
    "norm_eps": "layer_norm_eps",
    "parallel_residual": "use_parallel_residual",
  },
  defaults={
    "attention_bias": True,
    "hidden_act": "gelu",
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-5,
    "tie_word_embeddings": False,
    "use_parallel_residual": True,
  },
  fixed={"norm": "layer", "gated_mlp": False, "mlp_bias": True},
  only=_WHOLE,
  rotary=RotaryKeys(
    theta="rotary_emb_base", fraction="rotary_pct", default_fraction=0.25
  ),
)
_LLAMA = Family(
  language_model="LlamaForCausalLM",
  classifier="LlamaForSequenceClassification",
  keys=_ROTARY_KEYS | _BIAS_KEYS | {"mlp_bias": "mlp_bias"},
  defaults=_ROTARY_DEFAULTS | {"attention_bias": False, "mlp_bias": False},
  only=_ONLY,
)
_MISTRAL = Family(
  language_model="MistralForCausalLM",
  classifier="MistralForSequenceClassification",
  keys=_ROTARY_KEYS,
  defaults=_ROTARY_DEFAULTS
  | {"num_key_value_heads": 8, "sliding_window": 4096},
  only=_ONLY,
  windows=config_keys.one_window,
)
_OLMO_2 = Family(
  language_model="Olmo2ForCausalLM",
  classifier="Olmo2ForSequenceClassification",
  keys=_ROTARY_KEYS | _BIAS_KEYS,
  defaults=_ROTARY_DEFAULTS | {"attention_bias": False, "rms_norm_eps": 1e-5},
  fixed={"pre_norm": False, "post_norm": True, "qk_norm": "projection"},
  only=_ONLY,
)
_PHI_3 = Family(
  language_model="Phi3ForCausalLM",
  classifier="Phi3ForSequenceClassification",
  keys=_ROTARY_KEYS,
  defaults=_ROTARY_DEFAULTS | {"rms_norm_eps": 1e-5, "sliding_window": None},
  only=_WHOLE,
  off=("attention_bias",),
  ignored=("auto_map",),  # names code beside the weights, which nobody runs
  # Others change with the length of the text; transformers refuses the rest.
  rotary=RotaryKeys(fraction="partial_rotary_factor", kinds=("default",)),
  windows=config_keys.one_window,
)
_QWEN_2 = Family(
  language_model="Qwen2ForCausalLM",
  classifier="Qwen2ForSequenceClassification",
  keys=_ROTARY_KEYS,
  defaults=_QWEN_DEFAULTS,
  fixed={"qkv_bias": True},
  only=_ONLY,
  windows=config_keys.windows_by_layer,
)
_QWEN_3 = Family(
  language_model="Qwen3ForCausalLM",
  classifier="Qwen3ForSequenceClassification",
  keys=_ROTARY_KEYS | _BIAS_KEYS,
  defaults=_QWEN_DEFAULTS | {"head_dim": 128, "attention_bias": False},
  fixed={"qk_norm": "head"},
  only=_ONLY,
  windows=config_keys.windows_by_layer,
)

FAMILIES = {
  "gemma": _GEMMA,
  "gemma2": _GEMMA_2,
  "gemma3_text": _GEMMA_3,
  "gpt2": _GPT2,
  "gpt_neox": _GPT_NEOX,
  "llama": _LLAMA,
  "mistral": _MISTRAL,
  "olmo2": _OLMO_2,
  "phi3": _PHI_3,
  "qwen2": _QWEN_2,
  "qwen3": _QWEN_3,
}
