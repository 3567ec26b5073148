"""Tests of credential rotation."""
