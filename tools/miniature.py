"""Make the demo's archive of real X-rays from the public one of Kermany et al.: data/demo/README.md says what it holds.

    python tools/miniature.py data/archives/paultimothymooney--chest-xray-pneumonia.zip

The choice of patients is random, with a fixed seed: the same archive gives the same bytes.
"""

import io
import random
import sys
import zipfile
from pathlib import Path

from PIL import Image

from rontgen.core.io import replacing
from rontgen.data import archives, layouts
from rontgen.data.demo import MINIATURES

# Images of each folder and class: patients are drawn until there are so many
IMAGES = {("train", "NORMAL"): 380, ("train", "PNEUMONIA"): 600, ("test", "NORMAL"): 85, ("test", "PNEUMONIA"): 135}
SIDE, QUALITY, SEED = 96, 75, 0
MINIATURE = MINIATURES["pneumonia", "chest_xray"]


def main() -> None:
    (public,) = map(Path, sys.argv[1:])
    chosen, random_ = [], random.Random(SEED)
    with archives.Archive(public) as archive:
        listed = [image for image in layouts.read("chest_xray", archive).images if image.patient]
        for (folder, label), wanted in IMAGES.items():
            of_class = [image for image in listed if (image.folder, image.label) == (folder, label)]
            patients = sorted({image.patient for image in of_class})
            random_.shuffle(patients)
            images: list = []
            while len(images) < wanted:
                patient = patients.pop()
                images += [image for image in of_class if image.patient == patient]
            chosen += images
        with replacing(MINIATURE) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as miniature:
            for image in sorted(chosen, key=lambda image: image.member):
                picture = Image.open(io.BytesIO(archive.read(image.member))).convert("L")
                small, file = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS), io.BytesIO()
                small.save(file, "JPEG", quality=QUALITY, optimize=True)
                info = zipfile.ZipInfo(image.member, (1980, 1, 1, 0, 0, 0))
                info.create_system, info.external_attr = 3, 0o100644 << 16
                miniature.writestr(info, file.getvalue())
    print(f"{MINIATURE}: {len(chosen)} images, {MINIATURE.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
