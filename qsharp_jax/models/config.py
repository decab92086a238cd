"""What makes one decoder family differ from another, as data."""

import dataclasses
from typing import Literal


@dataclasses.dataclass(frozen=True)
class RopeScaling:
  """Stretching of rotary frequencies for contexts beyond pre-training.

  `linear` divides every frequency by `factor`. `llama3` divides only the slow
  ones and blends in between (Llama 3.1, 3.2). `yarn` does so by another blend,
  and lengthens queries and keys (arXiv 2309.00071).
  """

  kind: Literal["linear", "llama3", "yarn"]
  factor: float
  low_freq_factor: float = 1.0
  high_freq_factor: float = 4.0
  original_max_length: int = 8192
  # Of yarn: turns within the original length of channels kept and divided,
  # whether the blend lies on whole channels, and the length of what is turned.
  beta_fast: float = 32.0
  beta_slow: float = 1.0
  truncate: bool = True
  attention_factor: float = 1.0


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
  """Sizes and switches of a decoder-only transformer.

  Every supported family (`checkpoint.families.FAMILIES`) is a value of this
  class; the defaults are Llama's.
  """

  vocab_size: int  # V
  width: int  # D
  num_layers: int
  num_heads: int  # N
  num_kv_heads: int  # G, divides N
  head_width: int  # H
  mlp_width: int
  max_length: int  # longest position the model was trained for
  norm: Literal["rms", "layer"] = "rms"
  norm_eps: float = 1e-5
  norm_offset: bool = False  # norms multiply by 1 + scale
  pre_norm: bool = True  # norms before attention and MLP
  post_norm: bool = False  # norms of what attention and MLP give
  parallel_residual: bool = False  # attention and MLP read the same input
  activation: Literal["silu", "gelu", "gelu_tanh", "relu"] = "silu"
  gated_mlp: bool = True
  rope_theta: float | None = 10_000.0  # None: learned absolute positions
  rope_scaling: RopeScaling | None = None
  # Base on layers with a window, which then have no scaling; None: as all.
  local_rope_theta: float | None = None
  rotary_fraction: float = 1.0  # of a head's channels, the first ones
  qkv_bias: bool = False
  output_bias: bool = False
  mlp_bias: bool = False
  # Norm of queries and keys: of each head alone, or of all heads at once.
  qk_norm: Literal["head", "projection"] | None = None
  query_scalar: float | None = None  # over its root; None: the head's width
  attention_softcap: float | None = None  # scores: cap * tanh(scores / cap)
  logit_softcap: float | None = None  # next-token logits, likewise
  sliding_windows: tuple[int | None, ...] | None = None  # one entry a layer
  tied_embeddings: bool = False
  scaled_embeddings: bool = False  # token embeddings times the root of width
  init_std: float = 0.02  # of random weights; small widths want more
  embedding_std: float | None = None  # of random embeddings; None: init_std
  dtype: str = "float32"  # of activations and matrix products
  param_dtype: str = "float32"
  remat: bool = False  # recompute each layer's activations in the backward pass
  kv_copies: int = 1  # of each key-value head in caches, see `shared_by`

  def shared_by(self, num_devices: int) -> "DecoderConfig":
    """The same decoder, whose caches so many devices can share by heads.

    Where there are more devices than key-value heads, every head is kept as
    often as devices use it; left alone, every device would keep all heads.
    """
    copies, rest = divmod(num_devices, self.num_kv_heads)
    if rest or copies < 2 or self.num_heads % num_devices:
      return self
    return dataclasses.replace(self, kv_copies=copies)

  def deeper(self, num_layers: int) -> "DecoderConfig":
    """The same decoder with so many more layers, as the last one is."""
    windows = self.sliding_windows
    return dataclasses.replace(
      self,
      num_layers=self.num_layers + num_layers,
      sliding_windows=windows and windows + windows[-1:] * num_layers,
    )

  def window(self, layer: int) -> int | None:
    """Sliding window of a layer in tokens, None where it sees everything."""
    return None if self.sliding_windows is None else self.sliding_windows[layer]

  def turns_locally(self, layer: int) -> bool:
    """Whether a layer has the rotary base of layers with a window."""
    is_sliding = self.window(layer) is not None
    return is_sliding and self.local_rope_theta is not None

  @property
  def rotary_width(self) -> int:
    """Channels of each head that turn; the others carry no position."""
    return int(self.head_width * self.rotary_fraction)


@dataclasses.dataclass(frozen=True)
class HeadConfig:
  """Shape of the value head.

  A `v` head gives the value of the prefix that ends in the token read; a `q`
  head gives, after reading a prefix, the value of every next token. With
  `num_atoms` 1 the output is a Bernoulli logit (or a plain mean, when trained
  by squared error); with more it is the logits of a categorical distribution.
  """

  kind: Literal["v", "q"] = "v"
  num_atoms: int = 1  # K
  # Of a V-type head: so many layers from the bottom, with the final norm and
  # tied embeddings, are a language model, and the head reads the
  # log-probability that it gives the token, too. 0: it does not.
  predicting_layers: int = 0

  @property
  def is_predicting(self) -> bool:
    """Whether the head reads a log-probability, too."""
    return self.predicting_layers > 0
