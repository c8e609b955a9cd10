"""How fast the parts that users run are, beside transformers and torch in the same run."""
