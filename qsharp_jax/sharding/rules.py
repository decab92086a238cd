"""Which mesh axes cut which logical axis: two tables, nothing else.

The models name each dimension of a weight or an activation; here every name
gets its mesh axes. None keeps a dimension whole on every device.
"""

Rules = tuple[tuple[str, str | tuple[str, ...] | None], ...]

# One table for both programs, on purpose: jit does not look at the rules when
# it decides whether to trace again, so they must not differ between tables.
_ACTIVATIONS: Rules = (
  ("batch", ("data", "fsdp")),
  ("time", None),
  ("embed_activation", None),
)

_TENSOR: Rules = (
  ("vocab", "tensor"),
  ("heads", "tensor"),
  ("kv_heads", "tensor"),
  ("mlp", "tensor"),
  ("head", None),
  ("norm", None),
  ("atoms", None),
  ("positions", None),
)

# Weights, gradients and moments are cut over fsdp too; each layer gathers its
# weights when it runs, a cost that the many tokens of a batch share.
TRAINING: Rules = (*_ACTIVATIONS, *_TENSOR, ("embed", "fsdp"))

# One token a step cannot pay for gathering weights: only the tensor axis cuts
# them, and every (data, fsdp) group holds a full copy for its own rows.
DECODING: Rules = (*_ACTIVATIONS, *_TENSOR, ("embed", None))
