"""Bias: the team's own cases, asked by different people, and whether they are served alike."""
