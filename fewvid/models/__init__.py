"""The network: encoder, sampler, adapter and decoder, and their composition. Flax lives here only."""
