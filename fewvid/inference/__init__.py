"""Asking a model: generation with a cache, conversations about a clip, pictures of what it kept."""
