"""One transformer layer: attention and MLP, each behind a norm."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

from qsharp_jax.core.arrays import Array
from qsharp_jax.models import attention, products, rope
from qsharp_jax.models import cache as cache_lib
from qsharp_jax.models import config as config_lib

_ACTIVATIONS = {
  "silu": jax.nn.silu,
  "gelu": functools.partial(jax.nn.gelu, approximate=False),
  "gelu_tanh": functools.partial(jax.nn.gelu, approximate=True),
  "relu": jax.nn.relu,
}

# Layer slots of a cache: keys, values, write index; None in a plain forward.
Slots = tuple[Array, Array, Array] | None


class Norm(nn.Module):
  """RMS or layer normalisation over the last axes, in float32."""

  config: config_lib.DecoderConfig
  axes: tuple[str, ...] = ("norm",)  # names of the axes it goes over

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Normalises `x` [..., *C]; same shape and dtype."""
    c, dtype = self.config, x.dtype
    x = x.astype(jnp.float32)

    def mean(x):
      return x.mean(range(-len(self.axes), 0), keepdims=True)

    if c.norm == "layer":
      x -= mean(x)
    x *= jax.lax.rsqrt(mean(jnp.square(x)) + c.norm_eps)
    zeros, ones = nn.initializers.zeros, nn.initializers.ones
    scale = self._param("scale", zeros if c.norm_offset else ones, x)
    x *= 1 + scale if c.norm_offset else scale
    if c.norm == "layer":
      x += self._param("bias", zeros, x)
    return x.astype(dtype)

  def _param(self, name: str, init: Callable[..., Array], x: Array) -> Array:
    """A parameter of the last axes of `x`, ready to be multiplied."""
    named = nn.with_logical_partitioning(init, self.axes)
    shape = x.shape[-len(self.axes) :]
    return _like(x, self.param(name, named, shape, self.config.param_dtype))


def _like(x: Array, param: Array) -> Array:
  """A parameter of the last axes, with as many axes as `x` and its type."""
  return jnp.expand_dims(param, range(x.ndim - param.ndim)).astype(x.dtype)


class Projection(nn.Module):
  """A linear map whose kernel dimensions carry the logical names `axes`."""

  config: config_lib.DecoderConfig
  features: tuple[int, ...]
  axes: tuple[str, ...]  # of the features, then of the inputs
  use_bias: bool

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Maps the last dimensions of `x` to `features`."""
    c = self.config
    num_inputs = len(self.axes) - len(self.features)

    def param(name, init, axes, shape):
      return self.param(
        name, nn.with_logical_partitioning(init, axes), shape, c.param_dtype
      ).astype(c.dtype)

    shape = (*self.features, *x.shape[-num_inputs:])
    normal = nn.initializers.normal(c.init_std)
    kernel = param("kernel", normal, self.axes, shape)
    y = products.project(x, kernel, num_inputs=num_inputs)
    if self.use_bias:
      axes = self.axes[: len(self.features)]
      y += _like(y, param("bias", nn.initializers.zeros, axes, self.features))
    return y


class Attention(nn.Module):
  """Grouped-query attention with rotary or no position information."""

  config: config_lib.DecoderConfig

  def setup(self) -> None:
    """Declares the four projections and the optional query-key norms."""
    c = self.config
    heads, kv_heads = (
      (num, c.head_width) for num in (c.num_heads, c.num_kv_heads)
    )
    keyed = ("kv_heads", "head", "embed")
    self.query = Projection(c, heads, ("heads", "head", "embed"), c.qkv_bias)
    self.key = Projection(c, kv_heads, keyed, c.qkv_bias)
    self.value = Projection(c, kv_heads, keyed, c.qkv_bias)
    self.output = Projection(
      c, (c.width,), ("embed", "heads", "head"), c.output_bias
    )
    if c.qk_norm == "head":
      self.query_norm, self.key_norm = Norm(c), Norm(c)
    elif c.qk_norm == "projection":
      self.query_norm = Norm(c, ("heads", "head"))
      self.key_norm = Norm(c, ("kv_heads", "head"))

  def __call__(
    self,
    x: Array,
    turn: tuple[Array, Array] | None,
    mask: Array,
    slots: Slots,
    leaves: int,
  ) -> tuple[Array, tuple[Array, Array] | None]:
    """Attends; see `Backbone.__call__` for the meaning of leaves."""
    query, key, value = self.query(x), self.key(x), self.value(x)
    if self.config.qk_norm:
      query, key = self.query_norm(query), self.key_norm(key)
    if turn is not None:
      query, key = rope.rotate(query, turn), rope.rotate(key, turn)
    key, value = key.swapaxes(1, 2), value.swapaxes(1, 2)  # [B, G, T, H]
    if slots is None:
      return self.output(self._attend(query, key, value, mask)), None
    key, value = self._copied(key), self._copied(value)
    old_keys, old_values, index = slots
    num_kept = x.shape[1] - leaves
    # Write first, read after: the buffer is updated in place, never copied.
    keys = cache_lib.write(old_keys, key[:, :, :num_kept], index)
    values = cache_lib.write(old_values, value[:, :, :num_kept], index)
    own = (key[:, :, num_kept:], value[:, :, num_kept:]) if leaves else None
    mixed = self._attend(query, keys, values, mask, own)
    return self.output(mixed), (keys, values)

  def _attend(self, *args: Array | tuple[Array, Array] | None) -> Array:
    """`attention.attend` with this decoder's scores."""
    c = self.config
    scalar = c.head_width if c.query_scalar is None else c.query_scalar
    return attention.attend(
      *args, scale=scalar**-0.5, softcap=c.attention_softcap
    )

  def _copied(self, x: Array) -> Array:
    """Keys or values as caches keep them: one head for each device."""
    if self.config.kv_copies == 1:
      return x
    x = jnp.repeat(x, self.config.kv_copies, axis=1)
    # Left alone, the compiler keeps all copies on every device.
    return nn.with_logical_constraint(x, ("batch", "heads", "time", "head"))


class MLP(nn.Module):
  """Two-layer perceptron, gated or plain."""

  config: config_lib.DecoderConfig

  def setup(self) -> None:
    """Declares the projections."""
    c = self.config
    inward = (c, (c.mlp_width,), ("mlp", "embed"), c.mlp_bias)
    self.up = Projection(*inward)
    if c.gated_mlp:
      self.gate = Projection(*inward)
    self.down = Projection(c, (c.width,), ("embed", "mlp"), c.mlp_bias)

  def __call__(self, x: Array) -> Array:
    """Maps `x` [..., D] to [..., D]."""
    act = _ACTIVATIONS[self.config.activation]
    if self.config.gated_mlp:
      return self.down(act(self.gate(x)) * self.up(x))
    return self.down(act(self.up(x)))


class Layer(nn.Module):
  """Attention and MLP with norms and residual connections."""

  config: config_lib.DecoderConfig

  def setup(self) -> None:
    """Declares the sub-layers."""
    c = self.config
    self.attention = Attention(c)
    self.mlp = MLP(c)
    if c.pre_norm:
      self.attention_norm, self.mlp_norm = Norm(c), Norm(c)
    if c.post_norm:
      self.attention_post_norm, self.mlp_post_norm = Norm(c), Norm(c)

  def __call__(
    self,
    x: Array,
    turn: tuple[Array, Array] | None,
    mask: Array,
    slots: Slots,
    leaves: int,
  ) -> tuple[Array, tuple[Array, Array] | None]:
    """Maps hidden states [B, T, D] to [B, T, D] and the updated slots."""
    c = self.config
    read = self.attention_norm(x) if c.pre_norm else x
    mixed, slots = self.attention(read, turn, mask, slots, leaves)
    if c.post_norm:
      mixed = self.attention_post_norm(mixed)
    read = x if c.parallel_residual else x + mixed
    told = self.mlp(self.mlp_norm(read) if c.pre_norm else read)
    if c.post_norm:
      told = self.mlp_post_norm(told)
    x = x + mixed + told
    x = nn.with_logical_constraint(x, ("batch", "time", "embed_activation"))
    return x, slots
