"""What crosses from one process or thread to another, a frozen type for each message.

`brain`: stage and brain; `stage`: supervisor and stage; `turns`: the core and whose turn it is.
`pipe_end` carries them. Imported by all rooms; imports none of them.
"""
