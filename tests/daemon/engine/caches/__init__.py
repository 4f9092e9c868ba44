"""Tests of `daemon/engine/caches/`."""
