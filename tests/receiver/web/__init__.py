"""Tests of what speaks HTTP."""
