"""From files to batches: videos, pictures, manifests, tokens, and the built-in world."""
