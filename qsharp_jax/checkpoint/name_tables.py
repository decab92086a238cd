"""Which Hugging Face tensor holds which of our parameters, and in what layout.

One table a family serves both directions; `layouts` says how a layout reads.
"""

import dataclasses
import re
from collections.abc import Iterator

from qsharp_jax.checkpoint.layouts import Entry
from qsharp_jax.models import DecoderConfig, HeadConfig

_FINAL_NORM = "backbone/final_norm/"


def _layers(
  prefix: str, *rows: tuple[str, str, str], needs: str | None = None
) -> tuple[Entry, ...]:
  return tuple(
    Entry(f"backbone/layers_{{i}}/{path}", prefix + name, layout, needs)
    for path, name, layout in rows
  )


def _norms(**names: str) -> tuple[Entry, ...]:
  rows = (
    (f"{x}/scale", f"{name}.weight", "d -> d") for x, name in names.items()
  )
  return _layers("model.layers.{i}.", *rows)


_HEADS = {
  "v": Entry("head", "score.weight", "(r k) e -> r k e"),
  "q": Entry("head", "q_head.weight", "(r k) d -> r k d"),
}

_ENDS = (
  Entry("backbone/embedding", "model.embed_tokens.weight", "v d -> v d"),
  Entry("backbone/final_norm/scale", "model.norm.weight", "d -> d"),
)
_PRE_NORMS = _norms(
  attention_norm="input_layernorm", mlp_norm="post_attention_layernorm"
)
_POST_NORMS = _norms(
  attention_post_norm="post_attention_layernorm",
  mlp_post_norm="post_feedforward_layernorm",
)
_FOUR_NORMS = (
  *_norms(
    attention_norm="input_layernorm", mlp_norm="pre_feedforward_layernorm"
  ),
  *_POST_NORMS,
)
_PROJECTIONS = (
  *_layers(
    "model.layers.{i}.",
    ("attention/query/kernel", "self_attn.q_proj.weight", "(n h) d -> n h d"),
    ("attention/key/kernel", "self_attn.k_proj.weight", "(g h) d -> g h d"),
    ("attention/value/kernel", "self_attn.v_proj.weight", "(g h) d -> g h d"),
    ("attention/output/kernel", "self_attn.o_proj.weight", "d (n h) -> d n h"),
    ("mlp/gate/kernel", "mlp.gate_proj.weight", "m d -> m d"),
    ("mlp/up/kernel", "mlp.up_proj.weight", "m d -> m d"),
    ("mlp/down/kernel", "mlp.down_proj.weight", "d m -> d m"),
  ),
  *_layers(
    "model.layers.{i}.self_attn.",
    ("attention/query/bias", "q_proj.bias", "(n h) -> n h"),
    ("attention/key/bias", "k_proj.bias", "(g h) -> g h"),
    ("attention/value/bias", "v_proj.bias", "(g h) -> g h"),
    needs="qkv_bias",
  ),
  *_layers(
    "model.layers.{i}.self_attn.",
    ("attention/output/bias", "o_proj.bias", "d -> d"),
    needs="output_bias",
  ),
  *_layers(
    "model.layers.{i}.mlp.",
    ("mlp/gate/bias", "gate_proj.bias", "m -> m"),
    ("mlp/up/bias", "up_proj.bias", "m -> m"),
    ("mlp/down/bias", "down_proj.bias", "d -> d"),
    needs="mlp_bias",
  ),
)
_HEAD_NORMS = _layers(
  "model.layers.{i}.self_attn.",
  ("attention/query_norm/scale", "q_norm.weight", "h -> h"),
  ("attention/key_norm/scale", "k_norm.weight", "h -> h"),
)
_PROJECTION_NORMS = _layers(
  "model.layers.{i}.self_attn.",
  ("attention/query_norm/scale", "q_norm.weight", "(n h) -> n h"),
  ("attention/key_norm/scale", "k_norm.weight", "(g h) -> g h"),
)
_ROTARY = (*_ENDS, *_PRE_NORMS, *_PROJECTIONS)

_QKV = "self_attn.qkv_proj.weight"
_PHI3 = (
  *_ENDS,
  *_PRE_NORMS,
  *_layers(
    "model.layers.{i}.",
    ("attention/query/kernel", _QKV, "(n+g+g@0 h) d -> n h d"),
    ("attention/key/kernel", _QKV, "(n+g+g@1 h) d -> g h d"),
    ("attention/value/kernel", _QKV, "(n+g+g@2 h) d -> g h d"),
    ("attention/output/kernel", "self_attn.o_proj.weight", "d (n h) -> d n h"),
    ("mlp/gate/kernel", "mlp.gate_up_proj.weight", "m+m@0 d -> m d"),
    ("mlp/up/kernel", "mlp.gate_up_proj.weight", "m+m@1 d -> m d"),
    ("mlp/down/kernel", "mlp.down_proj.weight", "d m -> d m"),
  ),
)

_GPT2 = (
  Entry("backbone/embedding", "transformer.wte.weight", "v d -> v d"),
  Entry("backbone/positions", "transformer.wpe.weight", "p d -> p d"),
  Entry("backbone/final_norm/scale", "transformer.ln_f.weight", "d -> d"),
  Entry("backbone/final_norm/bias", "transformer.ln_f.bias", "d -> d"),
  *_layers(
    "transformer.h.{i}.",
    ("attention_norm/scale", "ln_1.weight", "d -> d"),
    ("attention_norm/bias", "ln_1.bias", "d -> d"),
    ("mlp_norm/scale", "ln_2.weight", "d -> d"),
    ("mlp_norm/bias", "ln_2.bias", "d -> d"),
    ("attention/query/kernel", "attn.c_attn.weight", "d (n+g+g@0 h) -> n h d"),
    ("attention/key/kernel", "attn.c_attn.weight", "d (n+g+g@1 h) -> g h d"),
    ("attention/value/kernel", "attn.c_attn.weight", "d (n+g+g@2 h) -> g h d"),
    ("attention/query/bias", "attn.c_attn.bias", "(n+g+g@0 h) -> n h"),
    ("attention/key/bias", "attn.c_attn.bias", "(n+g+g@1 h) -> g h"),
    ("attention/value/bias", "attn.c_attn.bias", "(n+g+g@2 h) -> g h"),
    ("attention/output/kernel", "attn.c_proj.weight", "(n h) d -> d n h"),
    ("attention/output/bias", "attn.c_proj.bias", "d -> d"),
    ("mlp/up/kernel", "mlp.c_fc.weight", "d m -> m d"),
    ("mlp/up/bias", "mlp.c_fc.bias", "m -> m"),
    ("mlp/down/kernel", "mlp.c_proj.weight", "m d -> d m"),
    ("mlp/down/bias", "mlp.c_proj.bias", "d -> d"),
  ),
)

_NEOX_QKV = "attention.query_key_value."
_NEOX = (
  Entry("backbone/embedding", "gpt_neox.embed_in.weight", "v d -> v d"),
  Entry(
    "backbone/final_norm/scale", "gpt_neox.final_layer_norm.weight", "d -> d"
  ),
  Entry("backbone/final_norm/bias", "gpt_neox.final_layer_norm.bias", "d -> d"),
  *_layers(
    "gpt_neox.layers.{i}.",
    ("attention_norm/scale", "input_layernorm.weight", "d -> d"),
    ("attention_norm/bias", "input_layernorm.bias", "d -> d"),
    ("mlp_norm/scale", "post_attention_layernorm.weight", "d -> d"),
    ("mlp_norm/bias", "post_attention_layernorm.bias", "d -> d"),
    ("attention/query/kernel", _NEOX_QKV + "weight", "(n h+h+h@0) d -> n h d"),
    ("attention/key/kernel", _NEOX_QKV + "weight", "(g h+h+h@1) d -> g h d"),
    ("attention/value/kernel", _NEOX_QKV + "weight", "(g h+h+h@2) d -> g h d"),
    ("attention/output/kernel", "attention.dense.weight", "d (n h) -> d n h"),
    ("mlp/up/kernel", "mlp.dense_h_to_4h.weight", "m d -> m d"),
    ("mlp/up/bias", "mlp.dense_h_to_4h.bias", "m -> m"),
    ("mlp/down/kernel", "mlp.dense_4h_to_h.weight", "d m -> d m"),
    ("mlp/down/bias", "mlp.dense_4h_to_h.bias", "d -> d"),
  ),
  *_layers(
    "gpt_neox.layers.{i}.",
    ("attention/query/bias", _NEOX_QKV + "bias", "(n h+h+h@0) -> n h"),
    ("attention/key/bias", _NEOX_QKV + "bias", "(g h+h+h@1) -> g h"),
    ("attention/value/bias", _NEOX_QKV + "bias", "(g h+h+h@2) -> g h"),
    ("attention/output/bias", "attention.dense.bias", "d -> d"),
    needs="qkv_bias",
  ),
)

_GEMMA_2 = (*_ENDS, *_FOUR_NORMS, *_PROJECTIONS)
TABLES = {
  "gemma": _ROTARY,
  "gemma2": _GEMMA_2,
  "gemma3_text": (*_GEMMA_2, *_HEAD_NORMS),
  "gpt2": _GPT2,
  "gpt_neox": _NEOX,
  "llama": _ROTARY,
  "mistral": _ROTARY,
  "olmo2": (*_ENDS, *_POST_NORMS, *_PROJECTIONS, *_PROJECTION_NORMS),
  "phi3": _PHI3,
  "qwen2": _ROTARY,
  "qwen3": (*_ROTARY, *_HEAD_NORMS),
}
_OUTPUTS = {"gpt_neox": "embed_out.weight"}

# Buffers that old releases stored; they follow from the config.
HARMLESS = re.compile(r"rotary_emb\.inv_freq$|\.att(n|ention)\.(masked_)?bias$")


def entries(
  family: str, config: DecoderConfig, head: HeadConfig | None
) -> Iterator[Entry]:
  """Entries of a language model (`head` None) or of a value model."""
  for entry in TABLES[family]:
    if entry.needs and not getattr(config, entry.needs):
      continue
    for i in range(config.num_layers if "{i}" in entry.path else 1):
      yield dataclasses.replace(
        entry, path=entry.path.format(i=i), name=entry.name.format(i=i)
      )
  if head is not None:
    if head.is_predicting:
      yield from _predicting_norm(family)
    yield _HEADS[head.kind]
  elif not config.tied_embeddings:
    yield Entry("unembedding", output(family), "v d -> v d")


def _predicting_norm(family: str) -> Iterator[Entry]:
  """The norm of the language model inside a value model."""
  for entry in TABLES[family]:
    if entry.path.startswith(_FINAL_NORM):
      kind = entry.name.rpartition(".")[2]
      yield dataclasses.replace(
        entry,
        path=entry.path.replace(_FINAL_NORM, "predicting_norm/"),
        name=f"predicting_norm.{kind}",
      )


def from_language_model(family: str, entry: Entry) -> Entry:
  """The entry of a value model as a language model's file holds it."""
  _, is_predicting, part = entry.path.partition("predicting_norm/")
  if not is_predicting:
    return entry
  (same,) = (e for e in TABLES[family] if e.path == _FINAL_NORM + part)
  return dataclasses.replace(entry, name=same.name)


def prefix(family: str) -> str:
  """First part of backbone names, absent from files of a bare backbone."""
  return TABLES[family][0].name.partition(".")[0] + "."


def embedding(family: str) -> str:
  """Name of the tensor that holds the token embeddings."""
  return TABLES[family][0].name


def output(family: str) -> str:
  """Name of the tensor that holds the output table, where it is untied."""
  return _OUTPUTS.get(family, "lm_head.weight")


def lm_head_as_q_head(family: str, config: DecoderConfig) -> Entry:
  """The entry that reads a one-atom Q-type head from the output table."""
  is_tied = config.tied_embeddings
  name = embedding(family) if is_tied else output(family)
  return dataclasses.replace(_HEADS["q"], name=name)
