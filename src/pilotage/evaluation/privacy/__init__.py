"""Privacy: what becomes of personal data on the way through the gateway, and what redaction finds."""
