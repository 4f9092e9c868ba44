"""What a run takes along to another machine.

`contents` says which files travel, `bundles` cuts them into parts with check sums and puts them
together again. The program is `training/travel.py`.
"""
