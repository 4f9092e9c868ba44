"""Tests of `daemon/bench/`."""
