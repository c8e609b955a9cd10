"""The network: encoder, sampler, adapter, decoder, and their composition. Flax lives here only."""
