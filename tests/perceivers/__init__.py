"""Tests of `perceivers/`."""
