"""Examples: scripts, and tutorials as notebooks."""
