"""How well a model answers: scoring by dimension, with intervals and chance levels beside."""
