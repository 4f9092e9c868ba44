"""What the engine keeps of tokens: keys and values, on the host or on the device.

`set` holds all caches of an engine and is what the engine imports; `protocol` says what each one
can do; `window`, `block` and `device` do it; `table_prefill` fills them without the graph.
"""
