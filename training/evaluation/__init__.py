"""The measuring stick: what embeddings are worth, in figures that one command reproduces."""
