"""The heavy process: what was heard, as tokens, and what is played next.

`performer` is all of it without a process, and is what `offline/` imports; `memory` and `answer`
are its two halves. `process` puts it at the end of a pipe, and is what the stage starts.
"""
