"""Content: packaging video into titles, the catalogue of them, and serving both over HTTP."""
