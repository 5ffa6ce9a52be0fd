"""The state file as bytes: its tables, rows of usage, and the layout of format 3."""
import struct
import zlib

PAGE = 4096
USAGE, LEASE, BINDING, HEALTH, UNDO = range(5)
TENANT = 1
DAY = 3  # place of this window in a row of usage
FORMAT_3 = (64, 128, 24, 192, 416)  # sizes of rows


class StateFile:
    """The whole file in memory; save() writes it back."""

    def __init__(self, path):
        self.path = path
        self.bytes = bytearray(path.read_bytes())
        self.format, = struct.unpack_from("<I", self.bytes, 8)
        self.tables = [struct.unpack_from("<QII", self.bytes, 24 + 16 * t) for t in range(5)]

    def save(self):
        self.path.write_bytes(self.bytes)

    def rows(self, table):
        """Offsets of the rows in use."""
        offset, size, count = self.tables[table]
        return [at for at in range(offset, offset + size * count, size)
                if self.bytes[at:at + 4] != b"\0\0\0\0"]

    def all_rows(self):
        return [(at, self.tables[t][1]) for t in (USAGE, LEASE, BINDING, HEALTH) for at in self.rows(t)]

    def counted(self, at, window=DAY):
        return struct.unpack_from("<I", self.bytes, at + 8 + 8 * window + 4)[0]

    def usage(self, kind, day):
        """The offset of the row of usage with this count of the day."""
        found = [at for at in self.rows(USAGE)
                 if struct.unpack_from("<I", self.bytes, at)[0] == kind and self.counted(at) == day]
        assert len(found) == 1, (kind, day, found)
        return found[0]

    def flip(self, byte, bit):
        self.bytes[byte] ^= 1 << bit

    def to_format_3(self):
        """The file as a relay of format 3 would have written it."""
        at, tables, parts = PAGE, [], []
        for (offset, size, count), old in zip(self.tables, FORMAT_3):
            body = bytearray(old * count)
            for n in range(count):
                row = self.bytes[offset + n * size:offset + n * size + min(old, size - 4)]
                if any(row):
                    body[n * old:n * old + len(row)] = row
            tables.append(struct.pack("<QII", at, old, count))
            parts.append(bytes(body) + bytes(-len(body) % PAGE))
            at += len(parts[-1])
        head = b"RLYSTATE" + struct.pack("<IIQ", 3, 112, at) + b"".join(tables)
        head += struct.pack("<II", zlib.crc32(head), 0)
        self.path.write_bytes(head + bytes(PAGE - len(head)) + b"".join(parts))
