"""Tests of `daemon/midi/`."""
