"""Filters on their way through requests, answers and streams."""
