"""The life of models on an edge: which one answers, how good it is, and what replaces it."""
