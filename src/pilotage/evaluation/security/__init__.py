"""Security: probes that attack a release as outsiders would, and what is seen of them in its answers."""
