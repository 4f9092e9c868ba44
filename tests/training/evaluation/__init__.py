"""Tests of `training/evaluation/`."""
