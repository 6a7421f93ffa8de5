"""Commands of `nearcast origin` with a file of their own; `origin.cli` puts them together."""
