"""The cache node: a core that decides, and the drivers that do its I/O."""
