"""What the repository says of itself: its package, its docs and its tutorials as files. The same on every backend."""
