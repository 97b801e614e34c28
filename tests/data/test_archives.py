import hashlib
import random
import re
import stat
import tracemalloc
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zlib import crc32

import pytest

from rontgen.core.errors import RontgenError
from rontgen.data import archives
from rontgen.data.archives import Archive, ArchiveError, Member, archive_name
from zips import FLAGS, declaring, far_away, link, many_members, packed, patch, special


@pytest.fixture
def write(tmp_path):
    def write(data):
        path = tmp_path / "owner--name.zip"
        path.write_bytes(packed(data) if isinstance(data, dict) else data)
        return path

    return write


def error_of(path, read=None):
    with pytest.raises(ArchiveError) as caught, Archive(path, command="dvc repro download@lungs") as archive:
        archive.read(read) if read else archive.verify()
    assert str(caught.value) == f"{path}: {caught.value.fault}; delete it and run `dvc repro download@lungs` again"
    assert "\n" not in str(caught.value)
    return caught.value.fault


def test_members_are_sorted_without_folders_and_clutter(write):
    path = write({"b/": b"", "b/2.png": b"two", "a.csv": b"one", "__MACOSX/b/._2.png": b"x", "b/.DS_Store": b""})
    with Archive(path) as archive:
        assert archive.members() == [Member("a.csv", 3, crc32(b"one")), Member("b/2.png", 3, crc32(b"two"))]
        assert archive.left_out == ("__MACOSX/b/._2.png", "b/.DS_Store")
        assert [archive.read(member.name) for member in archive.members()] == [b"one", b"two"]
        archive.verify()
    assert list(path.parent.iterdir()) == [path]  # nothing is unpacked


def test_many_threads_read_at_once(write):
    contents = {f"{index}.png": random.Random(index).randbytes(20_000) for index in range(40)}
    with Archive(write(contents)) as archive, ThreadPoolExecutor(8) as threads:
        names = list(contents) * 10
        assert list(threads.map(archive.read, names)) == [contents[name] for name in names]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (packed({"a/../../b.png": b"x"}), r"member 'a/\.\./\.\./b\.png' has an unsafe name"),
        (packed({"/etc/b.png": b"x"}), "member '/etc/b.png' has an unsafe name"),
        (packed({"a\\b.png": b"x"}), r"member 'a\\\\b\.png' has an unsafe name"),
        (packed({"C:b.png": b"x"}), "member 'C:b.png' has an unsafe name"),
        (packed({"__MACOSX/../b.png": b"x"}), "has an unsafe name"),
        (packed({"a\x1b[2J\n.png": b"x"}), "has an invalid name"),
        (packed({"aZb.png": b"x"}).replace(b"aZb", b"a\0b"), "member 'a' has an invalid name"),
        (packed({"a/X.png": b"1", "a/x.PNG": b"2"}), r"members 'a/X\.png' and 'a/x\.PNG' differ at most in case"),
        (packed({"a.png": b"1", "b.png": b"2"}).replace(b"b.png", b"a.png"), "'a.png' differ at most in case"),
        (packed({link("a.png"): b"/etc/passwd"}), "member 'a.png' is a link or a device"),
        (packed({special("a.png", stat.S_IFIFO): b""}), "member 'a.png' is a link or a device"),
        (patch(packed({"a.png": b"x"}), FLAGS, "<H", 0x1), "member 'a.png' is encrypted"),
        # bit 5 marks patched data, which zipfile reports differently from any other damage
        (patch(packed({"a.png": b"x"}), FLAGS, "<H", 0x20), "member 'a.png' is damaged: compressed patched data"),
        (packed({"a.png": b"x"}, zipfile.ZIP_BZIP2), "member 'a.png' is compressed by method 12"),
        (declaring(archives.MAX_MEMBER + 1, {"a.png": b"x"}), "'a.png' declares 67108865 bytes; expected at most 6710"),
        (declaring(60_000_000, {"a.png": b"x", "b.png": b"x"}), r"2\d\d bytes declare 120000000 when expanded; expect"),
        (far_away(), "member 'a' lies outside of the file"),
        (packed({"a.png": bytes(1000)})[:-30], r"is not a zip, or a damaged or cut off one \(File is not a zip file\)"),
        (b"<html>Sign in</html>", "is not a zip, or"),
        (b"", "is not a zip, or"),
    ],
)
def test_an_unsafe_archive_is_refused(write, data, fault):
    assert re.search(fault, error_of(write(data)))


def test_the_total_is_limited_whatever_the_ratio(write, monkeypatch):
    monkeypatch.setattr(archives, "MAX_TOTAL", 100)
    path = write(packed({"a.png": b"x" * 60, "b.png": b"y" * 60}, zipfile.ZIP_STORED))
    assert "declare 120 when expanded; expected at most 100" in error_of(path)


def test_a_table_of_contents_that_would_take_much_memory_is_not_read(write):
    path = write(many_members())
    tracemalloc.start()
    try:
        assert "a table of contents of 40000000 bytes; expected at most 16777216" in error_of(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_more_than_declared_is_neither_read_nor_kept_in_memory(write):
    path = write(declaring(5000, {"a.png": bytes(8_000_000)}))
    tracemalloc.start()
    try:
        assert error_of(path).startswith("member 'a.png' is damaged: Bad CRC-32")
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


def test_less_than_declared_is_refused(write):
    path = write(declaring(500, {"a.png": b"twelve bytes"}))
    assert error_of(path) == "member 'a.png' has 12 bytes; expected 500"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("name", ["a.png", "__MACOSX/._a.png"])
def test_wrong_bytes_are_found_when_read_and_when_verified(write, method, name):
    data = packed({"0.png": b"good", name: random.Random(7).randbytes(300_000)}, method)
    data[data.index(name.encode()) + 200_000] ^= 1
    path = write(data)
    assert error_of(path).startswith(f"member '{name}' is damaged: ")
    assert error_of(path, name).startswith(f"member '{name}' is damaged: ")
    with Archive(path) as archive:
        assert archive.read("0.png") == b"good"


def test_a_missing_archive_or_member_is_named(write, tmp_path):
    with pytest.raises(RontgenError, match=r"nowhere\.zip: expected a zip, found none: run `dvc repro download@"):
        Archive(tmp_path / "nowhere.zip")
    assert error_of(write({"a.png": b"x"}), "b.png") == "has no member 'b.png'"


def test_random_damage_is_always_one_error(write):
    whole = packed({f"a/{index}é.png": bytes([index] * 50) for index in range(4)})
    source = random.Random(7)
    for _ in range(500):
        data = whole.copy()
        for _ in range(source.choice((1, 2, 4))):
            data[source.randrange(len(data))] = source.randrange(256)
        try:
            with Archive(write(data)) as archive:
                archive.verify()
        except ArchiveError as error:
            assert "\n" not in str(error)


def test_verify_shows_progress_in_bytes(write, capsys):
    with Archive(write({"a.png": bytes(2000), "b.png": random.Random(7).randbytes(1000)})) as archive:
        archive.verify()
    assert re.search(r"verifying owner--name\.zip: 100%.* 3\.00k/3\.00k .*B/s", capsys.readouterr().err)


def bytes_read():
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="Linux counts what is read")
def test_one_read_verifies_and_hashes(write):
    """Whatever the order of the members, and what lies between them."""
    noise = {name: random.Random(name).randbytes(400_000) for name in ("b/2.png", "c.png", "b/1.png")}
    path = write(b"prepended" + packed({"b/": b""} | noise | {"__MACOSX/._c": b"x"}))
    before = bytes_read()
    with Archive(path) as archive:
        found = archive.verify()
    assert bytes_read() - before < 1.1 * path.stat().st_size
    assert found == hashlib.sha256(path.read_bytes()).hexdigest()


def test_archive_name():
    assert archive_name("owner/some-data_1") == "owner--some-data_1.zip"
    for slug in ("owner", "owner/name/2", "../name", "owner/", "owner/..", ""):
        with pytest.raises(RontgenError, match="expected owner/name"):
            archive_name(slug)
