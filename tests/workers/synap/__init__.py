"""Synap's API and the guard."""
