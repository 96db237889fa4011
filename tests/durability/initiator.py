"""An iSCSI initiator that knows whether an answer came: enough of RFC 7143 to write and verify.

One connection, no digests, no authentication; several commands at a time. `Gone` is what it raises
when the connection has ended: nothing is known then of the commands without an answer.
"""

import os
import socket
import struct
import time

MAX_SEGMENT = 256 << 10
IMMEDIATE = 0x40
FINAL = 0x80
NO_TAG = 0xFFFFFFFF
# A hang, not slowness: an OSD that comes back is waited for.
ANSWER_TIMEOUT_S = 300


class Gone(Exception):
    """The connection has ended."""


class Refused(Exception):
    """The target does not let us in, or breaks the protocol."""


class Answer:
    """The end of a command."""

    def __init__(self, tag, status, data, sense):
        self.tag = tag
        self.status = status
        self.data = data
        self.sense = sense

    @property
    def good(self):
        """GOOD status."""
        return self.status == 0

    @property
    def illegal(self):
        """CHECK CONDITION, ILLEGAL REQUEST; fixed or descriptor format (SPC-4 4.5)."""
        if self.status != 2 or len(self.sense) < 3:
            return False
        key = self.sense[1] if self.sense[0] & 0x7F >= 0x72 else self.sense[2]
        return key & 0x0F == 5


class Initiator:
    """A session of one connection with one logical unit."""

    def __init__(self, address, iqn, lun, name, patience_s=120):
        self.lun = struct.pack(">BB6x", lun >> 8 | (0x40 if lun > 255 else 0), lun & 0xFF)
        self.commands = {}
        self.tag = 0
        self.exp_stat = 0
        self.max_segment = 8192
        self.first_burst = 65536
        deadline = time.monotonic() + patience_s
        while True:
            try:
                self.socket = socket.create_connection(address, timeout=ANSWER_TIMEOUT_S)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._log_in(iqn, name)
                self._wait_ready(deadline)
                return
            except (OSError, Gone, Refused):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def close(self):
        """Ends the connection."""
        self.socket.close()

    # --- PDUs

    def _send(self, header, data=b""):
        header[4:8] = struct.pack(">I", len(data))
        try:
            self.socket.sendall(bytes(header) + data + bytes(-len(data) % 4))
        except OSError as error:
            raise Gone(str(error)) from error

    def _receive_bytes(self, count):
        parts = []
        while count:
            try:
                part = self.socket.recv(count)
            except OSError as error:
                raise Gone(str(error)) from error
            if not part:
                raise Gone("closed")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _receive(self):
        header = self._receive_bytes(48)
        skipped = header[4] * 4
        length = int.from_bytes(header[5:8], "big")
        data = self._receive_bytes(skipped + length + -length % 4)
        return header, data[skipped:skipped + length]

    def _log_in(self, iqn, name):
        keys = {
            "InitiatorName": name, "TargetName": iqn, "SessionType": "Normal",
            "HeaderDigest": "None", "DataDigest": "None", "InitialR2T": "No",
            "ImmediateData": "Yes", "MaxRecvDataSegmentLength": MAX_SEGMENT,
            "FirstBurstLength": MAX_SEGMENT, "MaxBurstLength": 1 << 20,
            "DefaultTime2Wait": 0, "DefaultTime2Retain": 0,
        }
        text = b"".join(b"%s=%s\0" % (k.encode(), str(v).encode()) for k, v in keys.items())
        isid = b"\x80" + os.urandom(3) + b"\0\0"
        for _ in range(8):
            header = bytearray(48)
            header[0], header[1] = IMMEDIATE | 0x03, FINAL | 1 << 2 | 3
            header[8:14] = isid
            struct.pack_into(">II", header, 24, 0, self.exp_stat)
            self._send(header, text)
            answer, data = self._receive()
            if answer[0] != 0x23 or answer[36]:
                raise Refused("login: status %02x%02x" % (answer[36], answer[37]))
            for pair in data.split(b"\0"):
                self._learn(*pair.decode().partition("=")[::2])
            self.exp_stat = int.from_bytes(answer[24:28], "big") + 1
            self.cmd_sn, self.max_cmd_sn = struct.unpack(">II", answer[28:36])
            if answer[1] & FINAL and answer[1] & 3 == 3:
                return
            text = b""
        raise Refused("login does not end")

    def _learn(self, key, value):
        if key == "MaxRecvDataSegmentLength":
            self.max_segment = min(int(value), MAX_SEGMENT)
        elif key == "FirstBurstLength":
            self.first_burst = int(value)

    def _wait_ready(self, deadline):
        # Unit attentions first, and a store that is still on its way.
        while not self.run(bytes(6)).good:
            if time.monotonic() > deadline:
                raise Refused("the logical unit does not become ready")

    # --- commands

    def begin(self, cdb, data=b"", expect=0):
        """Sends a command: with `data`, or for at most `expect` bytes. Returns its tag."""
        tag = self.tag = (self.tag + 1) % NO_TAG
        header = bytearray(48)
        header[0] = 0x01
        header[1] = FINAL | 1 | (0x40 if expect else 0) | (0x20 if data else 0)
        header[8:16] = self.lun
        struct.pack_into(">IIII", header, 16, tag, len(data) or expect, self.cmd_sn, self.exp_stat)
        header[32:32 + len(cdb)] = cdb
        self.cmd_sn = (self.cmd_sn + 1) % (1 << 32)
        self.commands[tag] = (data, bytearray(expect))
        self._send(header, data[:min(self.max_segment, self.first_burst)])
        return tag

    def window_open(self):
        """The target takes another command."""
        return (self.max_cmd_sn - self.cmd_sn) % (1 << 32) < 1 << 31

    def next(self):
        """Waits for the next answer to any command."""
        while True:
            header, data = self._receive()
            opcode, tag = header[0] & 0x3F, int.from_bytes(header[16:20], "big")
            self._note(header)
            if opcode == 0x20:
                self._nop(header, data)
            elif opcode == 0x31:
                self._answer_r2t(header, tag)
            elif opcode == 0x25:
                at = int.from_bytes(header[40:44], "big")
                self.commands[tag][1][at:at + len(data)] = data
                if header[1] & 1:
                    return self._end(tag, header[3], b"")
            elif opcode == 0x21:
                if header[2]:
                    raise Refused("iSCSI response %02x" % header[2])
                return self._end(tag, header[3], data[2:])
            elif opcode != 0x32:
                raise Refused("opcode %02x from the target" % opcode)

    def run(self, cdb, data=b"", expect=0):
        """One command by itself."""
        tag = self.begin(cdb, data, expect)
        answer = self.next()
        if answer.tag != tag:
            raise Refused("an answer to another command")
        return answer

    def _note(self, header):
        stat_sn, _exp, most = struct.unpack(">III", header[24:36])
        self.max_cmd_sn = most
        opcode = header[0] & 0x3F
        if opcode in (0x21, 0x32) or (opcode == 0x25 and header[1] & 1):
            self.exp_stat = (stat_sn + 1) % (1 << 32)

    def _end(self, tag, status, sense):
        _data, read = self.commands.pop(tag)
        return Answer(tag, status, bytes(read), sense)

    def _nop(self, header, data):
        if header[20:24] == b"\xff" * 4:
            return
        answer = bytearray(48)
        answer[0], answer[1] = IMMEDIATE, FINAL
        answer[8:16] = header[8:16]
        answer[16:20], answer[20:24] = b"\xff" * 4, header[20:24]
        struct.pack_into(">II", answer, 24, self.cmd_sn, self.exp_stat)
        self._send(answer, data)

    def _answer_r2t(self, header, tag):
        offset, length = struct.unpack(">II", header[40:48])
        data = self.commands[tag][0]
        end, number = offset + length, 0
        while offset < end:
            piece = data[offset:min(end, offset + self.max_segment)]
            out = bytearray(48)
            out[0] = 0x05
            out[1] = FINAL if offset + len(piece) == end else 0
            out[8:16] = self.lun
            out[16:24] = header[16:24]
            struct.pack_into(">I", out, 28, self.exp_stat)
            struct.pack_into(">II", out, 36, number, offset)
            self._send(out, piece)
            offset, number = offset + len(piece), number + 1


# --- CDBs (SBC-4, SPC-4)

def write_16(lba, blocks, fua=False):
    """WRITE(16)."""
    return struct.pack(">BBQIBB", 0x8A, 8 if fua else 0, lba, blocks, 0, 0)


def read_16(lba, blocks):
    """READ(16)."""
    return struct.pack(">BBQIBB", 0x88, 0, lba, blocks, 0, 0)


def write_same_16(lba, blocks, unmap=False, no_data=False):
    """WRITE SAME(16)."""
    return struct.pack(">BBQIBB", 0x93, (8 if unmap else 0) | no_data, lba, blocks, 0, 0)


def compare_and_write(lba, blocks):
    """COMPARE AND WRITE."""
    return struct.pack(">BBQ3xBBB", 0x89, 0, lba, blocks, 0, 0)


def write_atomic_16(lba, blocks):
    """WRITE ATOMIC(16)."""
    return struct.pack(">BBQHHBB", 0x9C, 0, lba, 0, blocks, 0, 0)


def synchronize_cache_16():
    """SYNCHRONIZE CACHE(16) of everything."""
    return struct.pack(">BBQIBB", 0x91, 0, 0, 0, 0, 0)


def unmap(lba, blocks):
    """UNMAP of one range: CDB and parameter list."""
    listed = struct.pack(">HH4xQI4x", 22, 16, lba, blocks)
    return struct.pack(">BB4xBHB", 0x42, 0, 0, len(listed), 0), listed


class Unit:
    """What the logical unit says it is and can."""

    def __init__(self, initiator):
        capacity = self._ask(initiator, struct.pack(">BB8xIBB", 0x9E, 0x10, 32, 0, 0), 32)
        self.blocks = int.from_bytes(capacity[:8], "big") + 1
        self.block_bytes = int.from_bytes(capacity[8:12], "big")
        self.reads_zeros = bool(capacity[14] & 0x40)
        limits = self._ask(initiator, struct.pack(">BBBHB", 0x12, 1, 0xB0, 64, 0), 64)
        self.compare_and_write_max = limits[5]
        self.atomic_max = int.from_bytes(limits[44:48], "big")
        caching = self._ask(initiator, struct.pack(">BBBBBB", 0x1A, 8, 0x08, 0, 255, 0), 255)
        self.write_cache = bool(caching[4 + 2] & 4)

    @staticmethod
    def _ask(initiator, cdb, length):
        answer = initiator.run(cdb, expect=length)
        if not answer.good:
            raise Refused("status %02x to command %02x" % (answer.status, cdb[0]))
        return answer.data
