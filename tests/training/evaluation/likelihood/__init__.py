"""Tests of `training/evaluation/likelihood/`."""
