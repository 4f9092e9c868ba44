"""Tests of `daemon/engine/`."""
