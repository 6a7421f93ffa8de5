"""The same edges and players on a virtual clock; and the demo that runs both."""
