"""Tests of `training/evaluation/continuations/`."""
