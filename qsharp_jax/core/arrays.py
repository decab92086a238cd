"""Array types and the shape letters used in every docstring.

B batch, T time, S cache slots, V vocabulary, K atoms, A candidates, N query
heads, G key-value heads, H head width, D model width, L layers.
"""

from typing import Any

import jax

Array = jax.Array
ArrayLike = jax.typing.ArrayLike
PyTree = Any
