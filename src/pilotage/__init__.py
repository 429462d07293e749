"""Pilotage takes a generative-AI use case from concept to production, and keeps it good there."""

__version__ = "0.1.0"
