import hashlib
import io
import random
import re
import stat
import struct
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from zlib import crc32

import pytest

from rontgen.core.errors import RontgenError
from rontgen.data import archives
from rontgen.data.archives import Archive, ArchiveError, Member, archive_name, sha256, verify

# Offsets of fields in an entry of a zip's table of contents (APPNOTE.TXT, 4.3.12).
FLAGS, SIZE, NAME = 8, 24, 46


def packed(members, compress_type=zipfile.ZIP_DEFLATED):
    """A zip in memory, of {name or ZipInfo: bytes}, as a bytearray to damage."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compress_type) as archive:
        for name, data in members.items():
            archive.writestr(name, data, compress_type)
    return bytearray(buffer.getvalue())


def patch(data, field, layout, value):
    """Write `value` into a field of every entry of the table of contents."""
    for entry in re.finditer(rb"PK\x01\x02", bytes(data)):
        struct.pack_into(layout, data, entry.start() + field, value)
    return data


def declaring(size, members):
    return patch(packed(members), SIZE, "<I", size)


@pytest.fixture
def write(tmp_path):
    def write(data):
        path = tmp_path / "owner--name.zip"
        path.write_bytes(data if isinstance(data, bytes | bytearray) else packed(data))
        return path

    return write


def error_of(path, read=None):
    with pytest.raises(ArchiveError) as caught, Archive(path, command="dvc repro download@lungs") as archive:
        archive.read(read) if read else archive.verify(progress=False)
    message = str(caught.value)
    assert message.startswith(f"{path}: {caught.value.fault}")
    assert message.endswith("; delete it and run `dvc repro download@lungs` again")
    assert "\n" not in message
    return caught.value.fault


def test_members_are_sorted_without_folders_and_clutter(write):
    path = write({"b/": b"", "b/2.png": b"two", "a.csv": b"one", "__MACOSX/b/._2.png": b"x", "b/.DS_Store": b""})
    with Archive(path) as archive:
        assert archive.members() == [Member("a.csv", 3, crc32(b"one")), Member("b/2.png", 3, crc32(b"two"))]
        assert archive.left_out == ("__MACOSX/b/._2.png", "b/.DS_Store")
        assert [archive.read(member.name) for member in archive.members()] == [b"one", b"two"]
    verify(path, progress=False)


def test_many_threads_read_at_once(write):
    contents = {f"{index}.png": random.Random(index).randbytes(20_000) for index in range(40)}
    with Archive(write(contents)) as archive, ThreadPoolExecutor(8) as threads:
        names = list(contents) * 10
        assert list(threads.map(archive.read, names)) == [contents[name] for name in names]


def test_nothing_is_written(write, tmp_path):
    path = write({"a.png": b"one"})
    with Archive(path) as archive:
        archive.read("a.png")
    assert list(tmp_path.iterdir()) == [path]


def linked(name, kind):
    info = zipfile.ZipInfo(name)
    info.external_attr = (kind | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (packed({"a/../../b.png": b"x"}), r"member 'a/\.\./\.\./b\.png' has an unsafe name"),
        (packed({"/etc/b.png": b"x"}), "member '/etc/b.png' has an unsafe name"),
        (packed({"a\\b.png": b"x"}), r"member 'a\\\\b\.png' has an unsafe name"),
        (packed({"C:b.png": b"x"}), "member 'C:b.png' has an unsafe name"),
        (packed({"__MACOSX/../b.png": b"x"}), "has an unsafe name"),
        (packed({"aZb.png": b"x"}).replace(b"aZb", b"a\0b"), "member 'a' has an invalid name"),
        (packed({"a/X.png": b"1", "a/x.PNG": b"2"}), r"members 'a/X\.png' and 'a/x\.PNG' differ at most in case"),
        (packed({"a.png": b"1", "b.png": b"2"}).replace(b"b.png", b"a.png"), "'a.png' differ at most in case"),
        (packed({linked("a.png", stat.S_IFLNK): b"/etc/passwd"}), "member 'a.png' is a link or a device"),
        (packed({linked("a.png", stat.S_IFIFO): b""}), "member 'a.png' is a link or a device"),
        (patch(packed({"a.png": b"x"}), FLAGS, "<H", 0x1), "member 'a.png' is encrypted"),
        (packed({"a.png": b"x"}, zipfile.ZIP_BZIP2), "member 'a.png' is compressed by method 12"),
        (
            declaring(archives.MAX_MEMBER + 1, {"a.png": b"x"}),
            "member 'a.png' declares 67108865 bytes; expected at most 67108864",
        ),
        (
            declaring(60_000_000, {"a.png": b"x", "b.png": b"x"}),
            r"2\d\d bytes declare 120000000 when expanded; expected at most 34359738368 and 100 times",
        ),
    ],
)
def test_an_unsafe_archive_is_refused(write, data, fault):
    assert re.search(fault, error_of(write(data)))


def test_the_total_is_limited_whatever_the_ratio(write, monkeypatch):
    monkeypatch.setattr(archives, "MAX_TOTAL", 100)
    path = write(packed({"a.png": b"x" * 60, "b.png": b"y" * 60}, zipfile.ZIP_STORED))
    assert "declare 120 when expanded; expected at most 100" in error_of(path)


@pytest.mark.parametrize("read", [None, "a.png"])
def test_more_than_declared_is_neither_read_nor_kept_in_memory(write, read):
    path = write(declaring(5000, {"a.png": bytes(8_000_000)}))
    tracemalloc.start()
    try:
        fault = error_of(path, read)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000  # two chunks and a bit
    finally:
        tracemalloc.stop()
    assert fault.startswith("member 'a.png' is damaged: Bad CRC-32")


@pytest.mark.parametrize("read", [None, "a.png"])
def test_less_than_declared_is_refused(write, read):
    path = write(declaring(500, {"a.png": b"twelve bytes"}))
    assert error_of(path, read) == "member 'a.png' has 12 bytes; expected 500"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("name", ["a.png", "__MACOSX/._a.png"])
def test_wrong_bytes_are_found_when_read_and_when_verified(write, method, name):
    noise = random.Random(7).randbytes(3_000_000)  # more than one chunk
    data = packed({"0.png": b"good", name: noise}, method)
    data[data.index(name.encode()) + 2_000_000] ^= 1
    path = write(data)
    assert error_of(path).startswith(f"member '{name}' is damaged: ")
    assert error_of(path, name).startswith(f"member '{name}' is damaged: ")
    with Archive(path) as archive:
        assert archive.read("0.png") == b"good"


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (packed({"a.png": bytes(1000)})[:-30], "is a damaged or cut off zip (File is not a zip file)"),
        (b"<html>Sign in</html>", "is not a zip: begins with b'<htm'"),
        (b"", "is empty; expected a zip"),
    ],
)
def test_what_is_not_a_whole_zip_is_refused(write, data, fault):
    assert error_of(write(data)) == fault


def test_a_missing_archive_or_member_is_named(write, tmp_path):
    with pytest.raises(RontgenError, match=r"nowhere\.zip: expected a zip, found none: run `dvc repro download@"):
        Archive(tmp_path / "nowhere.zip")
    assert error_of(write({"a.png": b"x"}), "b.png") == "has no member 'b.png'"


def test_a_flag_that_should_not_be_set_is_damage(write):
    """Bit 5 marks patched data, which zipfile reports differently from any other damage."""
    path = write(patch(packed({"a.png": b"x"}), FLAGS, "<H", 0x20))
    assert error_of(path, "a.png") == "member 'a.png' is damaged: compressed patched data (flag bit 5)"


def test_random_damage_is_always_one_error(write):
    whole = packed({f"a/{index}é.png": bytes([index] * 50) for index in range(4)})
    source = random.Random(7)
    for _ in range(1000):
        data = whole.copy()
        for _ in range(source.choice((1, 2, 4))):
            data[source.randrange(len(data))] = source.randrange(256)
        try:
            verify(write(data), progress=False)
        except ArchiveError as error:
            assert "\n" not in str(error)


def test_verify_shows_progress_in_bytes(write, capsys):
    verify(write({"a.png": bytes(2000), "b.png": random.Random(7).randbytes(1000)}))
    assert re.search(r"verifying owner--name\.zip: 100%.* 3\.00k/3\.00k .*B/s", capsys.readouterr().err)
    verify(write({"a.png": b"x"}), progress=False)
    assert capsys.readouterr().err == ""


def test_sha256(write):
    assert sha256(write(b"abc")) == hashlib.sha256(b"abc").hexdigest()


def test_archive_name():
    assert archive_name("owner/some-data_1") == "owner--some-data_1.zip"
    for slug in ("owner", "owner/name/2", "../name", "owner/", "owner/..", ""):
        with pytest.raises(RontgenError, match="expected owner/name"):
            archive_name(slug)
