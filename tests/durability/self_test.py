"""Faults that the judge must notice, each on a disk of bytes in memory; and what it must allow."""

import ledger as books

BLOCKS = 64
SIZE = 512
REPEAT = SIZE // books.VALUE.size


def golden(lba):
    return books.value_of(0, lba)


class Disk:
    """A disk that does as it is told, and the ledger beside it."""

    def __init__(self, volatile=False):
        self.ledger = books.Ledger(BLOCKS, SIZE, golden, volatile)
        self.blocks = [golden(lba) * REPEAT for lba in range(BLOCKS)]
        self.number = 0

    def write(self, first, count, *, reaches=None, answered=True, fua=False, atomic=False):
        """A write of which only the blocks of `reaches` reach the disk."""
        self.number += 1
        values = [books.value_of(self.number, first)] * count
        self.ledger.begin(first, values)
        for lba in range(first, first + count) if reaches is None else reaches:
            self.blocks[lba] = values[0] * REPEAT
        if answered:
            self.ledger.good(first, values, fua)
        else:
            self.ledger.unanswered(first, values, atomic)

    def sync(self):
        self.ledger.sync_good(self.ledger.sync_begin(range(BLOCKS)))

    def crash(self):
        """Whether the judge finds something after a crash."""
        try:
            self.ledger.check(0, b"".join(self.blocks))
            self.ledger.check_atomic()
        except books.Lost:
            return True
        return False


def lost(disk):
    disk.write(4, 8, reaches=range(4, 11))


def lost_after_an_older_one(disk):
    disk.write(4, 8)
    disk.write(4, 8, reaches=())


def misplaced(disk):
    disk.write(4, 1, reaches=[5])


def half_a_block(disk):
    disk.write(4, 1)
    disk.blocks[4] = disk.blocks[4][:256] + golden(4) * (REPEAT // 2)


def resurrected(disk):
    disk.write(4, 1)
    old = disk.blocks[4]
    disk.write(4, 1)
    assert not disk.crash()
    disk.blocks[4] = old


def undone_after_it_was_seen(disk):
    disk.write(4, 1, answered=False)
    assert not disk.crash()
    disk.blocks[4] = golden(4) * REPEAT


def torn_atomic(disk):
    disk.write(4, 8, reaches=range(4, 8), answered=False, atomic=True)


def nobody_wrote(disk):
    disk.blocks[20] = books.ZEROS * REPEAT


def unanswered_in_part(disk):
    disk.write(4, 8, reaches=[5, 9], answered=False)


def unanswered_atomic(disk):
    disk.write(4, 8, answered=False, atomic=True)
    disk.write(20, 8, answered=False, atomic=True, reaches=())


def refused_and_done(disk):
    disk.write(4, 1, answered=False)
    disk.ledger.refused(4, [None])


def fua_lost(disk):
    disk.write(4, 1, fua=True, reaches=())


def synced_and_lost(disk):
    disk.write(4, 1, reaches=())
    disk.sync()


def cached_and_lost(disk):
    disk.write(4, 1)
    disk.sync()
    disk.write(4, 1, reaches=())


def found(fault, volatile=False):
    disk = Disk(volatile)
    fault(disk)
    return disk.crash()


def run():
    """Raises AssertionError where the judge is wrong."""
    faults = [lost, lost_after_an_older_one, misplaced, half_a_block, resurrected,
              undone_after_it_was_seen, torn_atomic, nobody_wrote, refused_and_done, fua_lost,
              synced_and_lost]
    for fault in faults:
        assert found(fault), "%s is not noticed" % fault.__name__
    for fault in (misplaced, half_a_block, nobody_wrote, fua_lost, synced_and_lost, torn_atomic):
        assert found(fault, volatile=True), "%s is not noticed with a cache" % fault.__name__
    for fine in (unanswered_in_part, unanswered_atomic):
        assert not found(fine), "%s is held to be wrong" % fine.__name__
    assert not found(cached_and_lost, volatile=True), "a volatile cache may lose"
    assert found(cached_and_lost), "without a cache it may not"
