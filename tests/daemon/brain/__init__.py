"""Tests of `daemon/brain/`."""
