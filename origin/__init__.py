"""Content and coordination: packaging, catalogue, serving."""
