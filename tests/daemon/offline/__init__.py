"""Tests of `daemon/offline/`."""
