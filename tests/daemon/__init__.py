"""Tests of `daemon/`."""
