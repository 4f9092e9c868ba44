"""Tests of `daemon/stage/`."""
