from dataclasses import replace

import pytest

from rontgen.core.errors import RontgenError
from rontgen.data import layouts
from rontgen.data.archives import Archive
from rontgen.data.layouts import ArchiveImage, chest_xray_patient


@pytest.fixture
def read(write_zip):
    def read(layout, members, **options):
        with Archive(write_zip(members)) as archive:
            return layouts.read(layout, archive, **options)

    return read


CHEST_XRAY = {
    "chest_xray/train/NORMAL/IM-0115-0001.jpeg": b"a",
    "chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg": b"b",
    "chest_xray/val/NORMAL/NORMAL2-IM-1427-0001.jpeg": b"c",
    "chest_xray/test/PNEUMONIA/person1946_virus_4874.jpeg": b"d",
}
NESTED = {f"chest_xray/{name}": data for name, data in CHEST_XRAY.items()}
CHEST_XRAY_IMAGES = {
    ArchiveImage("chest_xray/train/NORMAL/IM-0115-0001.jpeg", "NORMAL", "IM-0115", "train"),
    ArchiveImage("chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg", "PNEUMONIA", "person1_bacteria", "train"),
    ArchiveImage("chest_xray/val/NORMAL/NORMAL2-IM-1427-0001.jpeg", "NORMAL", "NORMAL2-IM-1427", "val"),
    ArchiveImage("chest_xray/test/PNEUMONIA/person1946_virus_4874.jpeg", "PNEUMONIA", "person1946_virus", "test"),
}
OTHERS = ["chest_xray/README.md", "chest_xray/train/OTHER/a.jpeg", "chest_xray/train/NORMAL/a.txt"]
OF_MACOS = [f"chest_xray/__MACOSX/{name.replace('NORMAL/', 'NORMAL/._')}" for name in CHEST_XRAY]


@pytest.mark.parametrize(
    ("others", "left_out"),
    [([], {}), (OTHERS, {"not an image of a class": 3}), ([*OF_MACOS, "chest_xray/train/.DS_Store"], {})],
    ids=["nothing else", "other files", "clutter of macOS"],
)
def test_chest_xray_lists_its_images_whatever_else_there_is(read, others, left_out):
    listing = read("chest_xray", CHEST_XRAY | dict.fromkeys(others, b"x"))
    assert (set(listing.images), listing.left_out) == (CHEST_XRAY_IMAGES, left_out)


OTHER = "chest_xray/chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg"  # nested, and not always a copy


@pytest.mark.parametrize("first", [CHEST_XRAY, NESTED])
@pytest.mark.parametrize("data", [b"b", b"x", b"bb"], ids=["a copy", "other bytes", "another size"])
def test_nested_copies_are_left_out_whatever_their_order(read, first, data):
    listing = read("chest_xray", first | CHEST_XRAY | NESTED | {OTHER: data})
    others = set() if data == b"b" else {ArchiveImage(OTHER, "PNEUMONIA", "person1_bacteria", "train")}
    assert set(listing.images) == CHEST_XRAY_IMAGES | others
    assert listing.left_out == {"nested copies": 4 - len(others)}


def test_nested_copies_are_kept_where_they_are_asked_for(read):
    members = NESTED | CHEST_XRAY | {OTHER: b"x", "chest_xray/README": b""}
    listing = read("chest_xray", members, keep_copies=True)
    copies = {
        replace(image, member=f"chest_xray/{image.member}", nested=f"chest_xray/{image.member}" != OTHER)
        for image in CHEST_XRAY_IMAGES
    }
    assert set(listing.images) == CHEST_XRAY_IMAGES | copies
    assert listing.left_out == {"not an image of a class": 1}


def test_an_archive_with_the_nested_copy_alone_is_read(read):
    listing = read("chest_xray", NESTED)
    assert (len(listing.images), listing.left_out) == (4, {})


@pytest.mark.parametrize(
    ("stem", "patient"),
    [
        ("person78_bacteria_378", "person78_bacteria"),
        ("person78_virus_140", "person78_virus"),
        ("IM-0115-0001", "IM-0115"),
        ("IM-0115-0001-0002", "IM-0115"),
        ("NORMAL2-IM-1427-0001", "NORMAL2-IM-1427"),
        ("BACTERIA-7422-0001", ""),
        ("xperson1_virus_1", ""),
        ("person1_1", ""),
        ("", ""),
    ],
)
def test_the_patient_is_in_the_name(stem, patient):
    assert chest_xray_patient(stem) == patient


@pytest.mark.parametrize("images", ["images/", ""])
@pytest.mark.parametrize("root", ["COVID-19_Radiography_Dataset/", "COVID-19 Radiography Database/", ""])
def test_covid_radiography_with_and_without_folders_of_images(read, root, images):
    labels = ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
    members = {f"{root}{label}/{images}{label}-1.png": label.encode() for label in labels}
    listing = read("covid_radiography", members)
    assert listing.images == [ArchiveImage(f"{root}{label}/{images}{label}-1.png", label) for label in labels]
    assert listing.left_out == {}


def test_covid_radiography_leaves_out_masks_and_tables(read):
    root = "COVID-19_Radiography_Dataset"
    members = {
        f"{root}/COVID/images/COVID-1.png": b"1",
        f"{root}/COVID/masks/COVID-1.png": b"2",
        f"{root}/Normal/masks/Normal-1.png": b"3",
        f"{root}/masks/COVID/COVID-1.png": b"4",
        f"{root}/Masks/Normal/images/Normal-1.png": b"5",
        f"{root}/lungs/masks/COVID/images/COVID-1.png": b"6",
        f"{root}/COVID.metadata.xlsx": b"7",
        f"{root}/README.md.txt": b"8",
    }
    listing = read("covid_radiography", members)
    assert listing.images == [ArchiveImage(f"{root}/COVID/images/COVID-1.png", "COVID")]
    assert listing.left_out == {"masks": 5, "not an image of a class": 2}


def test_tb_radiography(read):
    root = "TB_Chest_Radiography_Database"
    members = {
        f"{root}/Normal/Normal-1.png": b"1",
        f"{root}/Tuberculosis/Tuberculosis-101.png": b"2",
        f"{root}/Normal.metadata.xlsx": b"3",
    }
    listing = read("tb_radiography", members)
    assert listing.images == [
        ArchiveImage(f"{root}/Normal/Normal-1.png", "Normal"),
        ArchiveImage(f"{root}/Tuberculosis/Tuberculosis-101.png", "Tuberculosis"),
    ]
    assert listing.left_out == {"not an image of a class": 1}


SIIM = "siim-acr-pneumothorax"
SIIM_FILES = {
    f"{SIIM}/png_images/0_train_1_.png": b"1",
    f"{SIIM}/png_images/1_train_0_.png": b"2",
    f"{SIIM}/png_images/0_test_1_.png": b"3",
    f"{SIIM}/png_masks/0_train_1_.png": b"4",
    f"{SIIM}/png_masks/0_test_1_.png": b"5",
}
SIIM_TABLES = {
    f"{SIIM}/stage_1_train_images.csv": b"new_filename,ImageId,has_pneumo\n0_train_1_.png,1,1\n1_train_0_.png,2,0\n",
    f"{SIIM}/stage_1_test_images.csv": "\ufeffnew_filename,ImageId,has_pneumo\r\n0_test_1_.png,3,1\r\n".encode(),
}


def test_siim_pneumothorax(read):
    listing = read("siim_pneumothorax", SIIM_FILES | SIIM_TABLES)
    assert set(listing.images) == {
        ArchiveImage(f"{SIIM}/png_images/0_train_1_.png", "positive", folder="train"),
        ArchiveImage(f"{SIIM}/png_images/1_train_0_.png", "negative", folder="train"),
        ArchiveImage(f"{SIIM}/png_images/0_test_1_.png", "positive", folder="test"),
    }
    assert listing.left_out == {"masks": 2, "not an image of a class": 2}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"new_filename,has_pneumo\n0_train_1_.png,0\n1_train_0_.png,0\n", "0_train_1_.png: .* 1, the CSV says 0"),
        (b"new_filename,has_pneumo\n0_train_1_.png,1\n", "1_train_0_.png: .* has_pneumo 0, the CSV says None"),
        (b"new_filename,has_pneumo\n0_train_1_.png\n", "0_train_1_.png: .* has_pneumo 1, the CSV says None"),
        (b"new_filename,ImageId\n0_train_1_.png,1.2\n", "stage_1_train_images.csv: expected a column 'has_pneumo'"),
        (b"has_pneumo\n1\n", "stage_1_train_images.csv: expected a column 'new_filename'"),
        (b"", "stage_1_train_images.csv: expected a column 'has_pneumo'"),
        (b"new_filename,has_pneumo\n0_train_1_.png,1\n0_train_1_.png,0\n", "0_train_1_.png: .* 1, the CSV says 0"),
        (b"new_filename,has_pneumo\n" + b"x" * 140_000, "expected a CSV table, field larger"),
        (b"\x89PNG\xff\xfe\x00", "stage_1_train_images.csv: expected a column 'has_pneumo'"),
    ],
)
def test_siim_flags_and_table_must_agree(read, table, message):
    with pytest.raises(RontgenError, match=rf"owner--name\.zip: .*{message}"):
        read("siim_pneumothorax", SIIM_FILES | SIIM_TABLES | {f"{SIIM}/stage_1_train_images.csv": table})


def test_siim_without_its_tables_is_refused(read):
    with pytest.raises(RontgenError, match=r"owner--name\.zip: expected stage_1_train_images\.csv and stage_1_test"):
        read("siim_pneumothorax", SIIM_FILES)
    train = f"{SIIM}/stage_1_train_images.csv"
    with pytest.raises(RontgenError, match=r"0_test_1_\.png: its name says has_pneumo 1, the CSV says None"):
        read("siim_pneumothorax", SIIM_FILES | {train: SIIM_TABLES[train]})


@pytest.mark.parametrize(
    ("layout", "members"),
    [
        ("chest_xray", CHEST_XRAY),
        ("chest_xray", CHEST_XRAY | NESTED),
        ("covid_radiography", {"Normal/images/Normal-1.png": b"1"}),
        ("siim_pneumothorax", SIIM_FILES | SIIM_TABLES),
        ("tb_radiography", {"TB_Chest_Radiography_Database/Normal/Normal-1.png": b"1"}),
    ],
)
def test_one_more_folder_around_an_archive_changes_only_the_names_of_its_members(read, layout, members):
    plain = read(layout, members)
    within = read(layout, {f"archive/{name}": data for name, data in members.items()})
    assert within.left_out == plain.left_out
    assert within.images == [replace(image, member=f"archive/{image.member}") for image in plain.images]


@pytest.mark.parametrize(
    ("layout", "where"),
    [
        ("chest_xray", "`chest_xray/{train,val,test}/{NORMAL,PNEUMONIA}/*.jpeg`"),
        ("covid_radiography", "`{COVID,Lung_Opacity,Normal,Viral Pneumonia}/images/*.png`"),
        ("siim_pneumothorax", "`png_images/<index>_<train|test>_<0|1>_.png`"),
        ("tb_radiography", "`TB_Chest_Radiography_Database/{Normal,Tuberculosis}/*.png`"),
    ],
)
@pytest.mark.parametrize(
    ("members", "received"),
    [
        (["some/other/picture.png"], "none (files: 1, such as some/other/picture.png); put the whole archive"),
        (
            ["a.txt", "x.zip"],
            "none (files: 2, such as a.txt): the archive may be x.zip within it; put the whole archive",
        ),
        ([], "none (files: 0); put the whole archive, as Kaggle has it, at data/archives/owner--name.zip, or"),
    ],
)
def test_an_archive_without_images_is_refused_by_what_it_holds(read, layout, where, members, received):
    with pytest.raises(RontgenError) as caught:
        read(layout, dict.fromkeys(members, b"1"))
    message = str(caught.value)
    assert f"owner--name.zip: expected images at {where}" in message
    assert f", received {received}" in message


def test_an_unknown_layout_lists_the_known_ones(read):
    with pytest.raises(RontgenError, match=r"layout: expected one of chest_xray, .*tb_radiography, received 'nih'"):
        read("nih", CHEST_XRAY)
