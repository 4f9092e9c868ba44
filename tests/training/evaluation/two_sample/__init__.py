"""Tests of `training/evaluation/two_sample/`."""
