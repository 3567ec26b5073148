"""Webhook edge: verifies, commits and answers what Synap sends."""
