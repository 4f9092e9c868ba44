"""Tests of `daemon/control/`."""
