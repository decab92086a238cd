"""Experiments, and the tools of `tools/`, which are called the same way."""

import pathlib

# `python -m experiments.generate` is experiments/tools/generate.py.
__path__.append(str(pathlib.Path(__file__).parent / "tools"))
