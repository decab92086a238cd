"""Which Hugging Face tensor holds which of our parameters, and in what layout.

One table a family serves both directions. A layout reads "stored -> ours": each
word left of the arrow is one dimension of the file's tensor, a bracket several
of ours side by side in it. Letters: d width, n heads, g key-value heads, h head
width, m MLP width, v vocabulary, p positions, k atoms, r rows of the value head
(1, or v for a Q-type head), e what a V-type head reads (d, and a
log-probability where it reads one). A digit says which of the three parts of
GPT-2's fused projection is meant.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Iterator

import numpy as np

from qsharp_jax.models import DecoderConfig, HeadConfig

Sizes = dict[str, int]
Index = tuple[slice, ...]

_FINAL_NORM = "backbone/final_norm/"
_PARTS = "012"  # of a fused projection


@dataclasses.dataclass(frozen=True)
class Entry:
  """One parameter and its place in a file.

  Attributes:
    path: ours, below "params"; `{i}` stands for the layer.
    name: the tensor's name in the file; parts of one tensor share it.
    layout: "stored -> ours", see the module.
    needs: switch of `DecoderConfig` without which the parameter is absent.
  """

  path: str
  name: str
  layout: str
  needs: str | None = None

  def axes(self) -> tuple[list[list[str]], list[str]]:
    """Our letters in each stored dimension, and our own order of them."""
    stored, ours = self.layout.split(" -> ")
    groups = re.findall(r"\(([^)]*)\)|(\S+)", stored)
    return [(many or one).split() for many, one in groups], ours.split()


def _layers(
  prefix: str, *rows: tuple[str, str, str], needs: str | None = None
) -> tuple[Entry, ...]:
  return tuple(
    Entry(f"backbone/layers_{{i}}/{path}", prefix + name, layout, needs)
    for path, name, layout in rows
  )


_HEADS = {
  "unembedding": Entry("unembedding", "lm_head.weight", "v d -> v d"),
  "v": Entry("head", "score.weight", "(r k) e -> r k e"),
  "q": Entry("head", "q_head.weight", "(r k) d -> r k d"),
}

_ROTARY = (
  Entry("backbone/embedding", "model.embed_tokens.weight", "v d -> v d"),
  Entry("backbone/final_norm/scale", "model.norm.weight", "d -> d"),
  *_layers(
    "model.layers.{i}.",
    ("attention_norm/scale", "input_layernorm.weight", "d -> d"),
    ("mlp_norm/scale", "post_attention_layernorm.weight", "d -> d"),
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
    "model.layers.{i}.self_attn.",
    ("attention/query_norm/scale", "q_norm.weight", "h -> h"),
    ("attention/key_norm/scale", "k_norm.weight", "h -> h"),
    needs="qk_norm",
  ),
  *_layers(
    "model.layers.{i}.mlp.",
    ("mlp/gate/bias", "gate_proj.bias", "m -> m"),
    ("mlp/up/bias", "up_proj.bias", "m -> m"),
    ("mlp/down/bias", "down_proj.bias", "d -> d"),
    needs="mlp_bias",
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
    ("attention/query/kernel", "attn.c_attn.weight", "d (0 n h) -> n h d"),
    ("attention/key/kernel", "attn.c_attn.weight", "d (1 g h) -> g h d"),
    ("attention/value/kernel", "attn.c_attn.weight", "d (2 g h) -> g h d"),
    ("attention/query/bias", "attn.c_attn.bias", "(0 n h) -> n h"),
    ("attention/key/bias", "attn.c_attn.bias", "(1 g h) -> g h"),
    ("attention/value/bias", "attn.c_attn.bias", "(2 g h) -> g h"),
    ("attention/output/kernel", "attn.c_proj.weight", "(n h) d -> d n h"),
    ("attention/output/bias", "attn.c_proj.bias", "d -> d"),
    ("mlp/up/kernel", "mlp.c_fc.weight", "d m -> m d"),
    ("mlp/up/bias", "mlp.c_fc.bias", "m -> m"),
    ("mlp/down/kernel", "mlp.c_proj.weight", "m d -> d m"),
    ("mlp/down/bias", "mlp.c_proj.bias", "d -> d"),
  ),
)

TABLES = {
  "gpt2": _GPT2,
  "llama": _ROTARY,
  "mistral": _ROTARY,
  "qwen2": _ROTARY,
  "qwen3": _ROTARY,
}

# Buffers that old releases stored; they follow from the config.
HARMLESS = re.compile(r"rotary_emb\.inv_freq$|\.attn\.(masked_)?bias$")


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
    yield _HEADS["unembedding"]


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


def lm_head_as_q_head(family: str, config: DecoderConfig) -> Entry:
  """The entry that reads a one-atom Q-type head from the output table."""
  tied = config.tied_embeddings
  name = embedding(family) if tied else _HEADS["unembedding"].name
  return dataclasses.replace(_HEADS["q"], name=name)


def sizes(config: DecoderConfig, head: HeadConfig | None = None) -> Sizes:
  """Size of every letter of the layouts."""
  q_type = head is not None and head.kind == "q"
  return {
    "d": config.width,
    "e": config.width + (head is not None and head.is_predicting),
    "n": config.num_heads,
    "g": config.num_kv_heads,
    "h": config.head_width,
    "m": config.mlp_width,
    "v": config.vocab_size,
    "p": config.max_length,
    "k": head.num_atoms if head else 1,
    "r": config.vocab_size if q_type else 1,
    **dict.fromkeys(_PARTS, 3),
  }


def shape(entry: Entry, sizes: Sizes) -> tuple[int, ...]:
  """Shape of our parameter."""
  return tuple(sizes[letter] for letter in entry.axes()[1])


def stored_shape(entry: Entry, sizes: Sizes) -> tuple[int, ...]:
  """Shape of the tensor in the file."""
  groups, _ = entry.axes()
  return tuple(math.prod(sizes[x] for x in group) for group in groups)


def read(
  entry: Entry,
  sizes: Sizes,
  index: Index,
  read_stored: Callable[[Index], np.ndarray],
) -> np.ndarray:
  """Part `index` of our parameter, touching no more of the file than needed.

  Args:
    entry: the parameter.
    sizes: size of every letter.
    index: one slice for each of our dimensions.
    read_stored: gives a part of the file's tensor.

  Returns:
    The part, in our layout.
  """
  groups, ours = entry.axes()
  wanted = {
    letter: slice(*part.indices(sizes[letter]))
    for letter, part in zip(ours, index, strict=True)
  }
  wanted |= {x: slice(int(x), int(x) + 1) for x in _PARTS}
  ranges, split, inner = [], [], []
  for lead, *rest in groups:
    # Within a group only the first letter's range is contiguous in the file.
    step = math.prod(sizes[x] for x in rest)
    start, stop = wanted[lead].start, wanted[lead].stop
    ranges.append(slice(start * step, stop * step))
    split += [stop - start, *(sizes[x] for x in rest)]
    inner += [slice(None), *(wanted[x] for x in rest)]
  block = read_stored(tuple(ranges)).reshape(split)[tuple(inner)]
  letters = [x for group in groups for x in group]
  absent = [i for i, x in enumerate(letters) if x in _PARTS]
  letters = [x for x in letters if x not in _PARTS]
  return block.squeeze(tuple(absent)).transpose(
    [letters.index(x) for x in ours]
  )


def to_stored(parts: list[tuple[Entry, np.ndarray]]) -> np.ndarray:
  """The file's tensor from our parameters, the inverse of `read`.

  Args:
    parts: all entries that share one tensor, in the table's order, with their
      parameters.

  Returns:
    The tensor, contiguous.
  """
  blocks, join = [], 0
  for entry, value in parts:
    groups, ours = entry.axes()
    size = dict(zip(ours, value.shape, strict=True)) | dict.fromkeys(_PARTS, 1)
    letters = [x for group in groups for x in group if x not in _PARTS]
    block = value.transpose([ours.index(x) for x in letters])
    shape = [math.prod(size[x] for x in group) for group in groups]
    blocks.append(block.reshape(shape))
    fused = [i for i, group in enumerate(groups) if group[0] in _PARTS]
    join = fused[0] if fused else 0
  return np.ascontiguousarray(np.concatenate(blocks, axis=join))
