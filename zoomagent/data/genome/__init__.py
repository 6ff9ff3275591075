"""Visual Genome, read as a stream into an index."""
