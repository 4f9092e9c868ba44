"""Measurements of the whole daemon from outside, and of the engine over hours."""
