"""Models on disk: the model directory, and import from and export to other formats."""
