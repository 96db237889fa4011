"""What each block of a disk may hold: the judge of a test that crashes things.

A block's content is sixteen bytes over and over: the number of the write that put them there, and
the address that this write began at; so no two writes leave the same. A block is known by these
sixteen bytes, its value.

The rule. A write that was answered GOOD is durable: from then on its blocks hold its value, or that
of a later write. A write without an answer may be there, block by block, or not. If the disk has
announced a volatile write cache, "answered GOOD" is not enough: then FUA or a later SYNCHRONIZE
CACHE makes a write durable.
"""

import struct

VALUE = struct.Struct(">QQ")
ZEROS = bytes(VALUE.size)
# Findings of one check that are told one by one.
TOLD_MAX = 8


def value_of(number, lba):
    """What write `number`, which begins at `lba`, leaves in a block."""
    return VALUE.pack(number, lba)


def named(value):
    """A value for people."""
    if value == ZEROS:
        return "zeros"
    number, lba = VALUE.unpack(value)
    return "write %d (at LBA %d)" % (number, lba)


class Lost(Exception):
    """A block holds what it cannot hold; the text says which and what."""


class Ledger:
    """What `blocks` blocks of `block_bytes` may hold; at first what `initial(lba)` says."""

    def __init__(self, blocks, block_bytes, initial, volatile=False):
        self.repeat = block_bytes // VALUE.size
        self.block_bytes = block_bytes
        self.volatile = volatile
        # Oldest first. The first one is durable, the others came later. The last one is what a
        # read shows now, unless the block is unsure.
        self.may = [(initial(lba),) for lba in range(blocks)]
        self.unsure = set()
        self.dirty = set()
        # All-or-nothing writes without an answer: (first, values).
        self.atomic = []

    def expected(self, first, count):
        """What a read shows now; None if that is not sure."""
        if not self.unsure.isdisjoint(range(first, first + count)):
            return None
        return b"".join(self.may[lba][-1] * self.repeat for lba in range(first, first + count))

    def begin(self, first, values):
        """A write of these values is on its way: its blocks may hold them from now on."""
        for lba, value in enumerate(values, first):
            self.may[lba] += (value,)
            self.unsure.add(lba)

    def good(self, first, values, durable):
        """It was answered GOOD."""
        for lba, value in enumerate(values, first):
            self.unsure.discard(lba)
            if durable or not self.volatile:
                self.may[lba] = (value,)
                self.dirty.discard(lba)
            else:
                self.dirty.add(lba)

    def refused(self, first, values):
        """It was refused as illegal: then it has changed nothing."""
        for lba in range(first, first + len(values)):
            self.may[lba] = self.may[lba][:-1]
            if len(self.may[lba]) == 1:
                self.unsure.discard(lba)

    def unanswered(self, first, values, atomic):
        """It never was, and its connection is gone."""
        if atomic:
            self.atomic.append((first, tuple(values)))

    def sync_begin(self, region):
        """A SYNCHRONIZE CACHE is on its way; what it will make durable."""
        return [(lba, self.may[lba][-1]) for lba in self.dirty.intersection(region) - self.unsure]

    def sync_good(self, covered):
        """It was answered GOOD."""
        for lba, value in covered:
            may = self.may[lba]
            if value in may:
                self.may[lba] = may[may.index(value):]
            if len(self.may[lba]) == 1:
                self.dirty.discard(lba)

    def check(self, first, data):
        """Compares what the blocks from `first` on hold. Raises Lost. What was found holds from
        now on. Returns how many blocks a write without an answer has reached, and how many not."""
        wrong, landed, missed = [], 0, 0
        size = self.block_bytes
        for lba in range(first, first + len(data) // size):
            at = (lba - first) * size
            block = data[at:at + size]
            value = block[:VALUE.size]
            may = self.may[lba]
            if value not in may or block != value * self.repeat:
                what = named(value) if block == value * self.repeat else "several values"
                wrong.append("LBA %d holds %s, and may hold %s"
                             % (lba, what, " or ".join(map(named, may))))
                continue
            if len(may) > 1:
                landed += value == may[-1]
                missed += value != may[-1]
                self.may[lba] = (value,)
                self.unsure.discard(lba)
        if wrong:
            more = len(wrong) - TOLD_MAX
            tail = ["and %d more" % more] if more > 0 else []
            raise Lost("\n".join(wrong[:TOLD_MAX] + tail))
        return landed, missed

    def check_atomic(self):
        """After a crash and `check` of every block: writes that were to be there as a whole or not
        at all. Raises Lost. Returns how many were looked at."""
        looked_at, self.atomic = self.atomic, []
        for first, values in looked_at:
            there = sum(self.may[lba] == (value,) for lba, value in enumerate(values, first))
            if there not in (0, len(values)):
                raise Lost("of an atomic write of %d blocks at LBA %d, %d are there"
                           % (len(values), first, there))
        self.dirty.clear()
        return len(looked_at)
