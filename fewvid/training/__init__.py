"""Training: a run is a list of stages, a stage is data, and one loop trains them all."""
