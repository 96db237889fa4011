"""The load that a crash interrupts: random commands on a region of a disk, every answer noted."""

import random
import threading

import initiator as iscsi
import ledger as books

DEPTH = 16
BLOCKS_MAX = 64
ATOMIC_BLOCKS_MAX = 128
SAME_BLOCKS_MAX = 256


class Wrong(Exception):
    """A command was answered as it must not be; the text says which and how."""


class Numbers:
    """Ascending numbers for writes, shared by all sessions."""

    def __init__(self):
        self.lock = threading.Lock()
        self.last = 0

    def next(self):
        """The next one."""
        with self.lock:
            self.last += 1
            return self.last


class Command:
    """One that is on its way."""

    def __init__(self, kind, first, values, durable=False, expected=None, covered=None):
        self.kind = kind
        self.first = first
        self.values = values
        self.durable = durable
        self.expected = expected
        self.covered = covered


class Session:
    """A session and the region of the disk that it has for itself."""

    def __init__(self, connection, unit, ledger, region, numbers, seed):
        self.connection = connection
        self.unit = unit
        self.ledger = ledger
        self.region = region
        self.numbers = numbers
        self.random = random.Random(seed)
        self.busy = set()
        self.under_way = {}
        self.done = {}
        self.refused = {}
        self.failure = None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.makers = {
            self._write: 40, self._write_fua: 15, self._read: 15, self._sync: 5, self._unmap: 6,
            self._same: 5, self._same_zeros: 4,
        }
        if unit.compare_and_write_max:
            self.makers[self._compare_and_write] = 8
        if unit.atomic_max:
            self.makers[self._write_atomic] = 8

    def _run(self):
        try:
            while not self.stopping.is_set() or self.under_way:
                while not self.stopping.is_set() and len(self.under_way) < DEPTH:
                    if not self.connection.window_open() or not self._begin_one():
                        break
                if self.under_way:
                    self._finish(self.connection.next())
        except iscsi.Gone:
            self._interrupted()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def _begin_one(self):
        make = self.random.choices(list(self.makers), list(self.makers.values()))[0]
        return make()

    def _finish(self, answer):
        command = self.under_way.pop(answer.tag)
        blocks = range(command.first, command.first + len(command.values))
        self.busy.difference_update(blocks)
        counts = self.done if answer.good else self.refused
        counts[command.kind] = counts.get(command.kind, 0) + 1
        changes = command.kind not in ("read", "sync")
        if changes and answer.illegal:
            self.ledger.refused(command.first, command.values)
        if not answer.good:
            return
        if command.expected is not None and answer.data != command.expected:
            raise Wrong("%s of %d blocks at LBA %d: not what was written last"
                        % (command.kind, len(blocks), command.first))
        if command.covered is not None:
            self.ledger.sync_good(command.covered)
        elif changes:
            self.ledger.good(command.first, command.values, command.durable)

    def _interrupted(self):
        for command in self.under_way.values():
            if command.kind not in ("read", "sync"):
                atomic = command.kind == "write atomic"
                self.ledger.unanswered(command.first, command.values, atomic)

    # --- commands

    def _place(self, blocks_max, align=1):
        """A range that no other command is at; None if none is found at once."""
        for _ in range(8):
            count = self.random.randint(1, max(1, blocks_max // align)) * align
            first = self.random.randrange(self.region.start, self.region.stop - count + 1)
            first -= first % align
            blocks = range(first, first + count)
            if first >= self.region.start and self.busy.isdisjoint(blocks):
                return blocks
        return None

    def _send(self, command, cdb, data=b"", expect=0):
        if command.kind not in ("read", "sync"):
            self.ledger.begin(command.first, command.values)
        self.busy.update(range(command.first, command.first + len(command.values)))
        # Noted before it is sent: a connection that breaks meanwhile may have taken it there.
        self.under_way[(self.connection.tag + 1) % iscsi.NO_TAG] = command
        self.connection.begin(cdb, data, expect)
        return True

    def _bytes(self, values):
        return b"".join(value * self.ledger.repeat for value in values)

    def _fresh(self, blocks):
        number = self.numbers.next()
        return [books.value_of(number, blocks.start)] * len(blocks)

    def _write(self, kind="write", fua=False):
        blocks = self._place(BLOCKS_MAX)
        if blocks is None:
            return False
        values = self._fresh(blocks)
        cdb = iscsi.write_16(blocks.start, len(blocks), fua)
        command = Command(kind, blocks.start, values, durable=fua)
        return self._send(command, cdb, self._bytes(values))

    def _write_fua(self):
        return self._write("write fua", True)

    def _write_atomic(self):
        blocks = self._place(min(ATOMIC_BLOCKS_MAX, self.unit.atomic_max))
        if blocks is None:
            return False
        values = self._fresh(blocks)
        cdb = iscsi.write_atomic_16(blocks.start, len(blocks))
        return self._send(Command("write atomic", blocks.start, values), cdb, self._bytes(values))

    def _same(self):
        blocks = self._place(SAME_BLOCKS_MAX)
        if blocks is None:
            return False
        values = self._fresh(blocks)
        cdb = iscsi.write_same_16(blocks.start, len(blocks))
        return self._send(Command("write same", blocks.start, values), cdb, self._bytes(values[:1]))

    def _same_zeros(self):
        blocks = self._place(SAME_BLOCKS_MAX)
        if blocks is None:
            return False
        unmap = self.unit.reads_zeros and self.random.random() < 0.5
        cdb = iscsi.write_same_16(blocks.start, len(blocks), unmap, no_data=True)
        return self._send(Command("write same zeros", blocks.start, [books.ZEROS] * len(blocks)), cdb)

    def _unmap(self):
        blocks = self._place(SAME_BLOCKS_MAX) if self.unit.reads_zeros else None
        if blocks is None:
            return False
        cdb, listed = iscsi.unmap(blocks.start, len(blocks))
        return self._send(Command("unmap", blocks.start, [books.ZEROS] * len(blocks)), cdb, listed)

    def _compare_and_write(self):
        blocks = self._place(min(BLOCKS_MAX, self.unit.compare_and_write_max))
        there = blocks and self.ledger.expected(blocks.start, len(blocks))
        if not there:
            return False
        values = self._fresh(blocks)
        cdb = iscsi.compare_and_write(blocks.start, len(blocks))
        command = Command("compare and write", blocks.start, values)
        return self._send(command, cdb, there + self._bytes(values))

    def _read(self):
        blocks = self._place(BLOCKS_MAX)
        if blocks is None:
            return False
        expected = self.ledger.expected(blocks.start, len(blocks))
        cdb = iscsi.read_16(blocks.start, len(blocks))
        command = Command("read", blocks.start, [None] * len(blocks), expected=expected)
        return self._send(command, cdb, expect=len(blocks) * self.ledger.block_bytes)

    def _sync(self):
        covered = self.ledger.sync_begin(self.region)
        command = Command("sync", self.region.start, [], covered=covered)
        return self._send(command, iscsi.synchronize_cache_16())
