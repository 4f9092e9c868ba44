"""Numbers of performances, and how far two sets of performances lie apart.

`notes` is what all of them are computed from, `features` what a performance is like; `distances`,
`mgeval`, `repetition` and `copying` compare. Imported by `two_sample/`, `report/` and programs.
"""
