"""Tests of `training/data/`."""
