"""Tests of `training/run/`."""
