"""Tests of the stores, each by the kit in `conformance`."""
