"""Exact search over scopes held whole in memory.

`index` keeps blocks level with the record store and is asynchronous; everything below it (`block`,
`columns`, `scan`, `topk`) needs NumPy and the standard library only. Nothing is imported here, so that
a block can be tested and measured where nothing else is installed.
"""
