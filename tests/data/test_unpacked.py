"""An unpacked archive: the same as its zip to everything that reads it, and refused where a zip would be."""

import json
import os
import shutil
from pathlib import Path
from zlib import crc32

import pytest

import run_stages
from conftest import ROOT
from rontgen.core import params
from rontgen.core.errors import RontgenError
from rontgen.core.runs import BY_HAND, DatasetSplit
from rontgen.data import archives, decoding, manifests, unpacked
from rontgen.data.archives import Archive, ArchiveError, Member
from rontgen.data.demo import archives as synthetic

SLUG = "owner/name"
RAW = Path("data/raw/pneumonia")
PNEUMONIA = params.load(ROOT / "params.yaml").datasets["pneumonia"]
LAYOUT = "tb_radiography"
FILES = {"a.csv": b"one", "b/Normal/2.png": b"two", "__MACOSX/b/._2.png": b"x", "b/.DS_Store": b""}


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "mounted"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def path(folder, tmp_path):
    """Where the zip of a listed folder would be."""
    assert unpacked.write_index(SLUG, folder, tmp_path, LAYOUT) == tmp_path / "owner--name.index.json"
    return tmp_path / "owner--name.zip"


def fault_of(path, read=None):
    with pytest.raises(ArchiveError) as caught, unpacked.open_archive(path, command="dvc repro x") as archive:
        archive.read(read) if read else archive.verify()
    mounted, fault = path.parent / "mounted", caught.value.fault
    assert str(caught.value) == f"{mounted}: {fault}; run `rontgen index {SLUG} {mounted}` and `dvc repro x` again"
    return fault


def test_members_and_bytes_are_those_of_the_zip(folder, path, write_zip):
    with unpacked.open_archive(path) as one, Archive(write_zip(FILES, "same.zip")) as other:
        assert one.members() == other.members()
        assert one.members()[1] == Member("b/Normal/2.png", 3, crc32(b"two"))
        assert one.left_out == other.left_out
        assert [one.read(name) for name in FILES] == [other.read(name) for name in FILES]
        one.verify()
    assert {place.relative_to(folder).as_posix() for place in folder.rglob("*") if place.is_file()} == set(FILES)


def test_a_zip_comes_first(path, write_zip):
    write_zip({"other.png": b""}, path.name)
    with unpacked.open_archive(path) as archive:
        assert [member.name for member in archive.members()] == ["other.png"]


@pytest.mark.parametrize("read", [None, "b/Normal/2.png"])
@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda file: file.write_bytes(b"owt"), "member 'b/Normal/2.png' is damaged: its CRC-32 is not the listed one"),
        (lambda file: file.write_bytes(b"three"), "member 'b/Normal/2.png' has 4 bytes; expected 3"),
        (lambda file: file.write_bytes(b"t"), "member 'b/Normal/2.png' has 1 bytes; expected 3"),
        (lambda file: file.unlink(), "member 'b/Normal/2.png' cannot be read: No such file or directory"),
        (lambda file: shutil.rmtree(file.parents[2]), "expected the folder of an unpacked archive, found none"),
    ],
)
def test_what_changed_since_it_was_listed_is_refused(folder, path, change, fault, read):
    change(folder / "b/Normal/2.png")
    assert fault_of(path, read) == fault


def test_a_member_that_is_not_listed_is_refused(folder, path):
    (folder / "c.png").write_bytes(b"new")
    assert fault_of(path, "c.png") == "has no member 'c.png'"


def test_a_damaged_index_is_named(path):
    unpacked.index_of(path).write_text("")
    with pytest.raises(RontgenError, match=r"owner--name\.index\.json: expected JSON, .* run `rontgen index"):
        unpacked.open_archive(path)


def test_its_hash_is_that_of_the_files_wherever_they_lie(folder, path, tmp_path):
    def listed(place):
        unpacked.write_index(SLUG, place, tmp_path, LAYOUT)
        return unpacked.open_archive(path)

    first = listed(folder)
    assert first.size == 7
    elsewhere = folder.rename(tmp_path / "elsewhere")
    assert listed(elsewhere).sha256() == first.sha256()
    (elsewhere / "a.csv").write_bytes(b"two")
    assert listed(elsewhere).sha256() != first.sha256()


@pytest.mark.parametrize(
    ("make", "fault"),
    [
        (lambda place: place.symlink_to("/etc/passwd"), "is a link or a device"),
        (lambda place: place.symlink_to("/etc"), "is a link or a device"),
        (lambda place: os.mkfifo(place), "is a link or a device"),
        (lambda place: place.with_name("C:x").write_text(""), "has an unsafe name"),
        (lambda place: place.with_name("a\nb").write_text(""), "has an invalid name"),
        (lambda place: os.truncate(place.with_name("a.csv"), archives.MAX_MEMBER + 1), "declares 67108865 bytes"),
    ],
)
def test_a_folder_with_what_a_zip_may_not_have_is_not_listed(folder, tmp_path, make, fault):
    make(folder / "special")
    with pytest.raises(ArchiveError, match=fault):
        unpacked.write_index(SLUG, folder, tmp_path, LAYOUT)
    assert not unpacked.index_of(tmp_path / "owner--name.zip").exists()


def test_a_folder_beside_its_zip_or_that_is_not_there_is_not_listed(folder, path, tmp_path):
    with pytest.raises(RontgenError, match=r"nowhere: expected the folder of an unpacked archive, found none"):
        unpacked.write_index(SLUG, tmp_path / "nowhere", tmp_path, LAYOUT)
    path.write_bytes(b"")
    with pytest.raises(RontgenError, match="either a zip or an unpacked archive, received both: remove the zip"):
        unpacked.write_index(SLUG, folder, tmp_path, LAYOUT)


def test_a_folder_that_does_not_hold_the_archive_is_not_listed_and_the_old_index_stays(folder, path, tmp_path):
    before = unpacked.index_of(path).read_bytes()
    message = (
        rf"^{folder}/b/Normal: expected images at `TB_Chest_Radiography.*, received none \(files: 1, such as 2\.png\); "
        r"put the whole archive, as Kaggle has it, at data/archives/owner--name.zip, or name the folder that holds all"
    )
    with pytest.raises(RontgenError, match=message):
        unpacked.write_index(SLUG, folder / "b/Normal", tmp_path, LAYOUT)
    assert unpacked.index_of(path).read_bytes() == before


def test_a_folder_whose_name_is_not_utf_8_is_listed(folder, tmp_path):
    place = folder.rename(tmp_path / os.fsdecode(b"\xff"))
    unpacked.write_index(SLUG, place, tmp_path, LAYOUT)
    with unpacked.open_archive(tmp_path / "owner--name.zip") as archive:
        archive.verify()


def built(folder, monkeypatch):
    """The manifest, the audit of the split and the images of a study, from the archives in a project's folder."""
    monkeypatch.chdir(folder)
    split = params.load(ROOT / "params.yaml").studies["jitet"].split
    manifest, audit = manifests.build(DatasetSplit("jitet", "pneumonia", PNEUMONIA, split, None, check_counts=False))
    decoding.decode_all(manifest, RAW, 16, folder, 0)
    return manifest.to_csv(), audit, (folder / "images.npy").read_bytes()


@pytest.mark.slow
def test_manifest_and_images_are_those_of_the_zip(tmp_path, monkeypatch):
    zipped, listed = tmp_path / "zipped" / RAW, tmp_path / "listed" / RAW
    slug = PNEUMONIA.archives["chest_xray"].slug
    path = zipped / archives.archive_name(slug)
    synthetic.write_archive("chest_xray", path, 32, 7)
    shutil.unpack_archive(path, listed / "mounted")
    unpacked.write_index(slug, listed / "mounted", listed, "chest_xray")
    assert built(tmp_path / "zipped", monkeypatch) == built(tmp_path / "listed", monkeypatch)


def test_the_stage_download_says_what_the_folder_holds(change_params, folder):
    change_params({"profile": "paper"})
    slug = PNEUMONIA.archives["chest_xray"].slug
    index = unpacked.write_index(slug, folder, BY_HAND, LAYOUT)
    for stage in ("inputs", "download --dataset pneumonia"):
        run_stages.run(stage)
    name, raw = archives.archive_name(slug), Path("data/raw/pneumonia")
    with unpacked.open_archive(raw / name) as archive:
        facts = {"source": "by hand, unpacked", "slug": slug, "sha256": archive.sha256(), "bytes": 7}
    assert json.loads((raw / "SOURCE.json").read_text()) == {name: facts}
    assert (raw / index.name).read_bytes() == index.read_bytes()
