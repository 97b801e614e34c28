"""Zips in memory, whole or damaged on purpose."""

import io
import re
import stat
import struct
import zipfile
import zlib

# Offsets of fields in an entry of a zip's table of contents (APPNOTE.TXT, 4.3.12)
FLAGS, SIZE = 8, 24


def packed(members, compress_type=zipfile.ZIP_DEFLATED):
    """A zip of {name or ZipInfo: bytes}, as a bytearray to damage."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data, compress_type)
    return bytearray(buffer.getvalue())


def patch(data, field, layout, value):
    """Write `value` into a field of every entry of the table of contents."""
    for entry in re.finditer(rb"PK\x01\x02", bytes(data)):
        struct.pack_into(layout, data, entry.start() + field, value)
    return data


def declaring(size, members):
    """A zip whose members declare another size than they have."""
    return patch(packed(members), SIZE, "<I", size)


def special(name, kind):
    """A member of another kind than a file, such as stat.S_IFLNK."""
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


def link(name):
    return special(name, stat.S_IFLNK)


def _member(name, deflated, declared):
    """A deflated member as it lies in a zip (4.3.7); its CRC-32 is that of no bytes."""
    fields = (20, 0, zipfile.ZIP_DEFLATED, 0, 0x21, 0, len(deflated), declared, len(name), 0)
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields) + name + deflated


def _entry(name, offset, deflated, declared, extra=b""):
    """Its entry in the table of contents (4.3.12)."""
    sizes = (len(deflated), declared, len(name), len(extra))
    fields = (20, 20, 0, zipfile.ZIP_DEFLATED, 0, 0x21, 0, *sizes, 0, 0, 0, 0, offset)
    return struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *fields) + name + extra


def _ended(members, entries, count):
    """The members, the table of contents and its end record (4.3.16)."""
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, len(entries), len(members), 0)
    return bytes(members + entries) + end


def bomb(names, size, declared):
    """Members that expand to `size` zeros each, whatever they declare; on disk, about a thousandth of that."""
    stream = zlib.compressobj(9, zlib.DEFLATED, -15)
    first, again = (stream.compress(bytes(2**20)) + stream.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    deflated = first + again * (size // 2**20 - 1) + stream.flush()
    members, entries = bytearray(), bytearray()
    for name in names:
        entries += _entry(name.encode(), len(members), deflated, declared)
        members += _member(name.encode(), deflated, declared)
    return _ended(members, entries, len(names))


def many_members(count=800_000):
    """Eight hundred thousand members in 40 MB, all of them the same few bytes."""
    empty = b"\x03\x00"
    return _ended(_member(b"aaaa", empty, 0), _entry(b"aaaa", 0, empty, 0) * count, 0xFFFF)


def far_away():
    """A member whose 64-bit offset lies beyond the end of any file (4.5.3)."""
    empty, extra = b"\x03\x00", struct.pack("<HHQ", 1, 8, 2**63 - 1)
    return _ended(_member(b"a", empty, 0), _entry(b"a", 0xFFFFFFFF, empty, 0, extra), 1)
