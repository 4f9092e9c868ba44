"""Tests of `daemon/messages/`."""
