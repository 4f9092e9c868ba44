"""The parameters by what they turn, each group a module; `daemon.parameters` puts them together.

A group is a dataclass that adds its rows to those of the group before. Others import
`daemon.parameters` alone.
"""
