"""The page: the Performer in a browser, by a process that is a client of the daemon like any other.

`keeper` starts and watches that process, and is all that the supervisor imports; `process` puts it
together. `web` speaks HTTP and WebSocket, `gate` says who may, `daemon_link` speaks to the daemon,
`tabs` to browsers. What the browser runs lies in `static/`.
"""
