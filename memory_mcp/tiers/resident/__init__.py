"""Exact search over scopes held whole in memory.

`index` keeps blocks level with the record store and is asynchronous; everything below it (`block`,
`columns`, `scan`, `topk`) needs NumPy and the standard library only. Nothing is imported here, so that
a block can be tested and measured where nothing else is installed.

A large block may have a `mirror` of its rows on a GPU, which proposes candidates: `device` decides which, `gpu` holds
the rows, `proposing` searches them by the kernels in `kernels.cu`, and `cuda` alone imports CuPy.
"""
