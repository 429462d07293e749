"""Seeded simulations that check what docs/statistics.md promises. They take minutes, so they are no part of the tests."""
