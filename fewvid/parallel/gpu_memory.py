"""How much of a GPU's memory JAX takes for itself."""

from __future__ import annotations

import os

NAME = "XLA_PYTHON_CLIENT_MEM_FRACTION"
SHARE = "0.93"  # JAX takes 0.75 by itself, too little for what a plan says to fit


def take_most() -> None:
    """Lets JAX take most of it, where the user has set nothing. To be called before jax begins."""
    os.environ.setdefault(NAME, SHARE)
