"""Tests of alert routing."""
