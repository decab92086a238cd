import dataclasses

import pytest
from oracles import decoders, torch_models
from oracles.published_models import (
  GEMMA_2_9B,
  GEMMA_2B,
  GEMMA_3_4B_TEXT,
  GPT2_SMALL,
  LLAMA_3_2_1B,
  PHI_3_MINI,
  PYTHIA_6_9B,
  QWEN_2_5_1_5B,
)

from qsharp_jax import models
from qsharp_jax.checkpoint import families, harmless_keys
from qsharp_jax.core.errors import InputError


def test_llama_3_2():
  assert families.from_hf(LLAMA_3_2_1B, dtype="bfloat16") == (
    models.DecoderConfig(
      vocab_size=128256,
      width=2048,
      num_layers=16,
      num_heads=32,
      num_kv_heads=8,
      head_width=64,
      mlp_width=8192,
      max_length=131072,
      norm_eps=1e-5,
      rope_theta=5e5,
      rope_scaling=models.RopeScaling("llama3", 32.0, 1.0, 4.0, 8192),
      tied_embeddings=True,
      dtype="bfloat16",
    )
  )


def test_qwen_2_5():
  assert families.from_hf(QWEN_2_5_1_5B, param_dtype="bfloat16") == (
    models.DecoderConfig(
      vocab_size=151936,
      width=1536,
      num_layers=28,
      num_heads=12,
      num_kv_heads=2,
      head_width=128,
      mlp_width=8960,
      max_length=32768,
      norm_eps=1e-6,
      rope_theta=1e6,
      qkv_bias=True,
      tied_embeddings=True,
      param_dtype="bfloat16",
    )
  )


def test_gpt2_small():
  assert families.from_hf(GPT2_SMALL) == models.DecoderConfig(
    vocab_size=50257,
    width=768,
    num_layers=12,
    num_heads=12,
    num_kv_heads=12,
    head_width=64,
    mlp_width=3072,
    max_length=1024,
    norm="layer",
    activation="gelu_tanh",
    gated_mlp=False,
    rope_theta=None,
    qkv_bias=True,
    output_bias=True,
    mlp_bias=True,
    tied_embeddings=True,
  )


@pytest.mark.parametrize("raw", [LLAMA_3_2_1B, QWEN_2_5_1_5B])
def test_transformers_5_says_the_same_in_other_keys(raw):
  newer = {k: v for k, v in raw.items() if not k.startswith("rope_")}
  newer["rope_parameters"] = (raw.get("rope_scaling") or {}) | {
    "rope_theta": raw["rope_theta"],
    "rope_type": (raw.get("rope_scaling") or {}).get("rope_type", "default"),
  }
  assert families.from_hf(newer) == families.from_hf(raw)


def test_an_old_linear_scaling_says_type():
  raw = LLAMA_3_2_1B | {"rope_scaling": {"type": "linear", "factor": 2.0}}
  scaling = families.from_hf(raw).rope_scaling
  assert scaling == models.RopeScaling("linear", 2.0)


@pytest.mark.parametrize("variant", torch_models.VARIANTS)
def test_what_transformers_writes_reads_as_what_it_was_given(variant):
  transformers = pytest.importorskip("transformers")
  model_type, keys = torch_models.VARIANTS[variant]
  written = transformers.AutoConfig.for_model(model_type, **keys).to_dict()
  config = families.from_hf(written)
  if "rms_norm_eps" in written:  # a default that differs between releases
    given = {"rms_norm_eps": written["rms_norm_eps"], **keys}
    assert config == families.from_hf({"model_type": model_type, **given})
  else:
    assert config == decoders.config(variant)


@pytest.mark.parametrize("variant", torch_models.VARIANTS)
def test_round_trip(variant):
  config = dataclasses.replace(decoders.config(variant), dtype="bfloat16")
  family = torch_models.VARIANTS[variant][0]
  raw = families.to_hf(config, family)
  assert raw["model_type"] == family
  assert families.from_hf(raw, dtype="bfloat16") == config


def test_pythia():
  assert families.from_hf(PYTHIA_6_9B) == models.DecoderConfig(
    vocab_size=50432,
    width=4096,
    num_layers=32,
    num_heads=32,
    num_kv_heads=32,
    head_width=128,
    mlp_width=16384,
    max_length=2048,
    norm="layer",
    activation="gelu",
    gated_mlp=False,
    parallel_residual=True,
    rotary_fraction=0.25,
    qkv_bias=True,
    output_bias=True,
    mlp_bias=True,
  )


def test_gemma_3_of_both_releases():
  old = families.from_hf(GEMMA_3_4B_TEXT)
  assert old.rope_theta == 1e6 and old.local_rope_theta == 1e4
  assert old.rope_scaling == models.RopeScaling("linear", 8.0)
  assert old.sliding_windows[:7] == (*[1024] * 5, None, 1024)
  assert old.query_scalar is None and old.head_width == 256
  newer = {k: x for k, x in GEMMA_3_4B_TEXT.items() if k != "rope_scaling"}
  newer["rope_parameters"] = {
    "full_attention": GEMMA_3_4B_TEXT["rope_scaling"] | {"rope_theta": 1e6},
    "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
  }
  newer["layer_types"] = [
    "full_attention" if i % 6 == 5 else "sliding_attention" for i in range(34)
  ]
  assert families.from_hf(newer) == old
  newer["rope_parameters"]["sliding_attention"]["rope_theta"] = 5e3
  assert families.from_hf(newer).local_rope_theta == 5e3


def test_gemma_1_means_another_activation_than_it_says():
  assert families.from_hf(GEMMA_2B).activation == "gelu_tanh"
  both = GEMMA_2B | {"hidden_activation": "gelu_pytorch_tanh"}
  assert families.from_hf(both) == families.from_hf(GEMMA_2B)


def test_windows():
  qwen = QWEN_2_5_1_5B | {
    "num_hidden_layers": 4,
    "sliding_window": 7,
    "max_window_layers": 3,
  }
  windows = lambda **keys: families.from_hf(qwen | keys).sliding_windows
  assert windows() is None
  assert windows(use_sliding_window=True) == (None, None, None, 7)
  kinds = ["sliding_attention", "full_attention"] * 2
  assert windows(use_sliding_window=True, layer_types=kinds) == (
    (7, None, 7, None)
  )
  assert windows(use_sliding_window=True, max_window_layers=4) is None
  with pytest.raises(InputError, match="chunked_attention"):
    windows(use_sliding_window=True, layer_types=["chunked_attention"] * 4)
  assert decoders.config("mistral").sliding_windows == (5, 5)
  assert decoders.config("mistral_full").sliding_windows is None


@pytest.mark.parametrize(
  ("raw", "says"),
  [
    (LLAMA_3_2_1B | {"model_type": "mamba"}, "'mamba'.*llama, mistral, olmo2"),
    ({"hidden_size": 4}, "None.*gpt2, gpt_neox, llama"),
    (LLAMA_3_2_1B | {"hidden_act": "gelu_10"}, "gelu_10.*silu"),
    (
      LLAMA_3_2_1B | {"rope_scaling": {"rope_type": "dynamic", "factor": 2}},
      "dynamic.*default, linear, llama3, yarn on all channels",
    ),
    (
      LLAMA_3_2_1B | {"rope_scaling": {"rope_type": "llama3", "factor": 2}},
      "low_freq_factor",
    ),
    (
      LLAMA_3_2_1B | {"rope_parameters": {"partial_rotary_factor": 0.5}},
      "partial_rotary_factor",
    ),
    (
      LLAMA_3_2_1B | {"rope_parameters": {"full_attention": {"rope_theta": 1}}},
      "full_attention.*not supported",
    ),
    (LLAMA_3_2_1B | {"rope_theta": "big"}, "rope_theta is 'big'"),
    (LLAMA_3_2_1B | {"tie_word_embeddings": "no"}, "tie_word_embeddings"),
    (LLAMA_3_2_1B | {"num_key_value_heads": 5}, "5 key-value heads"),
    (LLAMA_3_2_1B | {"quantization_config": {"bits": 4}}, "quantization"),
    (
      GPT2_SMALL | {"scale_attn_by_inverse_layer_idx": True},
      "scale_attn_by_inverse_layer_idx=True",
    ),
    (GPT2_SMALL | {"n_head": 7}, "768.*7 heads"),
    ({k: v for k, v in GPT2_SMALL.items() if k != "n_embd"}, "'n_embd'"),
    (LLAMA_3_2_1B | {"hidden_size": "2048"}, "hidden_size.*'2048'"),
    (LLAMA_3_2_1B | {"num_hidden_layers": 0}, "num_hidden_layers.*0"),
    (LLAMA_3_2_1B | {"num_hidden_layers": 10**9}, "from 1 to 10000"),
    (LLAMA_3_2_1B | {"hidden_size": 10**40}, "hidden_size is 1000.*size"),
    (LLAMA_3_2_1B | {"rms_norm_eps": float("nan")}, "rms_norm_eps is nan"),
    (LLAMA_3_2_1B | {"rms_norm_eps": -1e-6}, "rms_norm_eps is -1e-06.*>= 0"),
    (LLAMA_3_2_1B | {"rms_norm_eps": 10**400}, "rms_norm_eps is 1000"),
    (LLAMA_3_2_1B | {"rope_theta": 0}, "rope_theta is 0.*> 0"),
    (LLAMA_3_2_1B | {"rope_theta": -1e4}, "rope_theta is -10000.0"),
    (LLAMA_3_2_1B | {"rope_theta": float("inf")}, "rope_theta is inf"),
    (LLAMA_3_2_1B | {"rope_scaling": ["linear"]}, "'linear'.*not supported"),
    (
      LLAMA_3_2_1B | {"rope_scaling": {"rope_type": "linear", "factor": 0}},
      "factor is 0",
    ),
    (
      LLAMA_3_2_1B | {"rope_scaling": {"rope_type": [1], "factor": 2}},
      "not supported",
    ),
    (
      LLAMA_3_2_1B
      | {"rope_scaling": LLAMA_3_2_1B["rope_scaling"] | {"low_freq_factor": 4}},
      "low_freq_factor 4.0 is not below high_freq_factor 4.0",
    ),
    (
      LLAMA_3_2_1B | {"rope_parameters": {"rope_theta": 1e4}},
      "rope_parameters says.*rope_theta.*keep one",
    ),
    (LLAMA_3_2_1B | {"is_causal": False}, "is_causal=False"),
    (LLAMA_3_2_1B | {"is_causal": None}, "is_causal=None"),
    (LLAMA_3_2_1B | {"head_dim": 63}, "63 of a head's 63 channels turn.*even"),
    (LLAMA_3_2_1B | {"hidden_act": ["silu"]}, "hidden_act.*a name"),
    (LLAMA_3_2_1B | {"model_type": ["llama"]}, r"\['llama'\].*not supported"),
    (LLAMA_3_2_1B | {"logit_scale": 0.5}, "logit_scale': 0.5.*no key of llama"),
    (
      LLAMA_3_2_1B | {"sliding_window": 4},
      "sliding_window': 4.*no key of llama",
    ),
    (LLAMA_3_2_1B | {"per_layer_config": {"0": {}}}, "per_layer_config"),
    (GPT2_SMALL | {"hidden_size": 64}, "hidden_size': 64.*no key of gpt2"),
    (QWEN_2_5_1_5B | {"layer_types": "full_attention"}, "layer_types.*each"),
    (QWEN_2_5_1_5B | {"layer_types": [{}] * 28}, "layer_types.*each"),
    (QWEN_2_5_1_5B | {"max_window_layers": "21"}, "max_window_layers is '21'"),
    (QWEN_2_5_1_5B | {"use_sliding_window": 1}, "use_sliding_window is 1"),
    (
      PHI_3_MINI | {"rope_scaling": {"type": "longrope", "long_factor": [1]}},
      "longrope.*expected rope_type one of default",
    ),
    (PHI_3_MINI | {"rope_scaling": {"type": "su"}}, "'su'.*one of default"),
    (PHI_3_MINI | {"attention_bias": True}, "attention_bias=True"),
    (PHI_3_MINI | {"partial_rotary_factor": 1.5}, "is 1.5.*at most 1"),
    (PHI_3_MINI | {"partial_rotary_factor": 0.79}, "75 of a head's 96.*even"),
    (LLAMA_3_2_1B | {"auto_map": {"AutoConfig": "x.Y"}}, "auto_map.*no key of"),
    (PYTHIA_6_9B | {"rotary_pct": 0}, "partial_rotary_factor is 0.*> 0"),
    (PYTHIA_6_9B | {"rotary_pct": 0.001}, "0 of a head's 128 channels"),
    (PYTHIA_6_9B | {"rope_theta": 1e4}, "rope_theta.*no key of gpt_neox"),
    (PYTHIA_6_9B | {"use_parallel_residual": 1}, "use_parallel_residual is 1"),
    (
      GEMMA_2B | {"hidden_activation": "relu"},
      "hidden_activation is 'relu'.*hidden_act 'gelu_pytorch_tanh'.*the same",
    ),
    (
      GEMMA_2_9B | {"sliding_window_size": 8},
      "sliding_window_size is 8.*sliding_window 4096",
    ),
    (
      GEMMA_2_9B | {"use_bidirectional_attention": True},
      "use_bidirectional_attention=True",
    ),
    (GEMMA_2_9B | {"attn_logit_softcapping": 0}, "softcapping is 0.*> 0"),
    (GEMMA_2_9B | {"query_pre_attn_scalar": None}, "scalar is None"),
    (
      GEMMA_2_9B | {"sliding_window": None, "sliding_window_size": None},
      "sliding_window is None",
    ),
    (GEMMA_2_9B | {"sliding_window_pattern": 3}, "sliding_window_pattern=3"),
    (
      GEMMA_3_4B_TEXT | {"attn_logit_softcapping": 50.0},
      "attn_logit_softcapping=50.0 is not supported",
    ),
    (
      GEMMA_3_4B_TEXT | {"rope_parameters": {"rope_theta": 1e4}},
      "rope_theta.*expected sliding_attention and full_attention",
    ),
    (
      GEMMA_3_4B_TEXT
      | {"rope_parameters": {"sliding_attention": {"rope_type": "linear"}}},
      "linear.*expected rope_type one of default",
    ),
  ],
)
def test_what_is_not_supported_is_named(raw, says):
  with pytest.raises(InputError, match=says) as error:
    families.from_hf(raw)
  assert len(str(error.value)) < 500 and "\n" not in str(error.value)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_key_of_transformers_is_honoured_refused_or_harmless(family):
  """A new release with a new key fails here: read what it does, then say so."""
  transformers = pytest.importorskip("transformers")
  config = transformers.AutoConfig.for_model(family)
  keys = {*config.to_dict(), *(f.name for f in dataclasses.fields(config))}
  known = families.FAMILIES[family].known() | harmless_keys.HARMLESS
  assert {key for key in keys - known if not key.startswith("_")} == set()
  # And none of what transformers itself writes is refused.
  families.from_hf(config.to_dict())


def test_what_samples_in_transformers_is_harmless():
  transformers = pytest.importorskip("transformers")
  names = transformers.GenerationConfig._get_default_generation_params()
  assert set(names) <= harmless_keys.HARMLESS


def test_a_known_key_is_never_harmless_as_well():
  for family in families.FAMILIES.values():
    assert not family.known() & harmless_keys.HARMLESS


def test_notes_and_keys_that_say_nothing_are_read_over():
  notes = {
    "_flash_attn": True,
    "unsloth_fixed": True,
    "unsloth_version": "2024.9",
    "rope_interleaved": False,
    "sliding_window": None,
    "layer_types": [],
  }
  assert families.from_hf(LLAMA_3_2_1B | notes) == (
    families.from_hf(LLAMA_3_2_1B)
  )


def test_rope_scaling_beside_a_default_rope_parameters():
  both = LLAMA_3_2_1B | {
    "rope_parameters": {"rope_type": "default", "rope_theta": 5e5}
  }
  assert families.from_hf(both) == families.from_hf(LLAMA_3_2_1B)


def test_the_original_length_beside_the_rotary_embedding_comes_first():
  raw = LLAMA_3_2_1B | {"original_max_position_embeddings": 4096}
  assert families.from_hf(raw).rope_scaling.original_max_length == 4096


def test_a_family_refuses_what_it_cannot_say():
  config = decoders.config("qwen3")
  with pytest.raises(InputError, match="qk_norm='head'.*another family"):
    families.to_hf(config, "llama")
  with pytest.raises(InputError, match="'bert'"):
    families.to_hf(config, "bert")
  uneven = dataclasses.replace(
    decoders.config("qwen2_windows"), sliding_windows=(3, 4)
  )
  with pytest.raises(InputError, match="sliding_windows"):
    families.to_hf(uneven, "qwen2")
