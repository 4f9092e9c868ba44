"""Tests of `training/models/`."""
