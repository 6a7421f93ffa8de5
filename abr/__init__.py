"""The client: a player core, bitrate controllers, and the drivers that do its I/O."""
