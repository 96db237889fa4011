"""All rows, in the order of the table."""

from . import boot, loadgen, memory, rbd, sessions, store

ROWS = [
    row
    for module in (memory, loadgen, rbd, store, sessions, boot)
    for row in module.ROWS
]
