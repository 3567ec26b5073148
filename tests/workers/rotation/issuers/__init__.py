"""Tests of the issuers."""
