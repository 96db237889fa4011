"""What an initiator did on the wire: SCSI commands and bytes, out of a capture.

Reads what QEMU's filter-dump writes (classic pcap, Ethernet, IPv4). Independent of the target's
own counters, and sees the firmware's part of a boot, too. Digests are not followed: a boot
negotiates none.
"""

import collections
import struct

SCSI_COMMAND, DATA_OUT, SCSI_RESPONSE, DATA_IN = 0x01, 0x05, 0x21, 0x25
_BHS_BYTES = 48
# READ and WRITE (10) and (16), SBC-4: whether it writes, where the LBA is, and the blocks.
_TRANSFERS = {
    0x28: (False, slice(2, 6), slice(7, 9)),
    0x2A: (True, slice(2, 6), slice(7, 9)),
    0x88: (False, slice(2, 10), slice(10, 14)),
    0x8A: (True, slice(2, 10), slice(10, 14)),
}


class Connection:
    """One TCP connection to the target."""

    def __init__(self, port):
        self.initiator_port = port
        self.commands = 0
        self.by_opcode = collections.Counter()
        self.read_bytes = 0
        self.written_bytes = 0
        #: (microseconds since the last command or answer, writes, LBA, blocks, commands that
        #: are in flight at that moment) of every READ and WRITE, in the order they were sent.
        self.transfers = []
        self._in_flight = set()
        self._last_us = None

    def as_json(self):
        """For a file: opcodes (SPC-4, SBC-3) as two hexadecimal digits."""
        return {
            "commands": self.commands,
            "read_bytes": self.read_bytes,
            "written_bytes": self.written_bytes,
            "opcodes": {f"{op:02x}": count for op, count in self.by_opcode.most_common()},
        }

    def pdu(self, header, data_bytes, at_us):
        """Takes one PDU, either direction."""
        opcode = header[0] & 0x3F
        tag = bytes(header[16:20])
        if opcode == SCSI_COMMAND:
            self.commands += 1
            self.by_opcode[header[32]] += 1
            self._transfer(header[32:48], at_us)
            self._in_flight.add(tag)
            self._last_us = at_us
        elif opcode == SCSI_RESPONSE or opcode == DATA_IN and header[1] & 0x01:
            self._in_flight.discard(tag)
            self._last_us = at_us
        if opcode in (SCSI_COMMAND, DATA_OUT):
            self.written_bytes += data_bytes
        elif opcode == DATA_IN:
            self.read_bytes += data_bytes

    def _transfer(self, cdb, at_us):
        if cdb[0] in _TRANSFERS:
            writes, lba, blocks = _TRANSFERS[cdb[0]]
            gap = 0 if self._last_us is None else at_us - self._last_us
            lba, blocks = (int.from_bytes(cdb[part], "big") for part in (lba, blocks))
            self.transfers.append((gap, writes, lba, blocks, len(self._in_flight)))


class _Stream:
    """One direction of a connection: puts segments in order and cuts PDUs out of the bytes."""

    def __init__(self, first_sequence, on_pdu):
        self._next = first_sequence
        self._early = {}
        self._bytes = bytearray()
        self._on_pdu = on_pdu

    def segment(self, sequence, payload, at_us):
        self._early[sequence] = payload
        while self._take_next():
            pass
        self._cut(at_us)

    def _take_next(self):
        for sequence, payload in self._early.items():
            seen = (self._next - sequence) & 0xFFFFFFFF
            if seen < 0x80000000:
                del self._early[sequence]
                fresh = payload[seen:]
                self._bytes += fresh
                self._next = (self._next + len(fresh)) & 0xFFFFFFFF
                return True
        return False

    def _cut(self, at_us):
        start = 0
        while len(self._bytes) - start >= _BHS_BYTES:
            header = self._bytes[start : start + _BHS_BYTES]
            data = int.from_bytes(header[5:8], "big")
            end = start + _BHS_BYTES + header[4] * 4 + (data + 3 & ~3)
            if end > len(self._bytes):
                break
            self._on_pdu(header, data, at_us)
            start = end
        del self._bytes[:start]


def connections(path, *ports):
    """The connections to these TCP ports in a capture, in the order of their first segments."""
    found = []
    streams = {}
    for at_us, source, target, sequence, flags, payload in _segments(path):
        if source not in ports and target not in ports:
            continue
        peer = source if target in ports else target
        if flags & 0x02 and target in ports:  # SYN of the initiator: a new connection
            found.append(Connection(peer))
        if flags & 0x02:
            streams[source, target] = _Stream((sequence + 1) & 0xFFFFFFFF, found[-1].pdu)
        elif payload and (source, target) in streams:
            streams[source, target].segment(sequence, payload, at_us)
    return found


def _segments(path):
    """(time in us, source port, destination port, sequence number, flags, payload) of each TCP
    segment."""
    with open(path, "rb") as f:
        magic = f.read(24)[:4]
        order = "<" if magic in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
        unit = 1000 if b"\x3c" in magic else 1  # nanoseconds, or microseconds
        while len(record := f.read(16)) == 16:
            seconds, fraction, length, _ = struct.unpack(order + "IIII", record)
            at_us = seconds * 1_000_000 + fraction // unit
            packet = f.read(length)
            if packet[12:14] != b"\x08\x00" or packet[23] != 6:
                continue
            ip = packet[14:]
            ip = ip[: int.from_bytes(ip[2:4], "big")]
            tcp = ip[(ip[0] & 15) * 4 :]
            source, target, sequence = struct.unpack_from(">HHI", tcp)
            yield at_us, source, target, sequence, tcp[13], tcp[(tcp[12] >> 4) * 4 :]
