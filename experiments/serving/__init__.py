"""An OpenAI-compatible endpoint over `qsharp_jax.serving`."""
