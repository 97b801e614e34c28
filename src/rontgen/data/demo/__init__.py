"""The demo's archives: a miniature of Kermany's X-rays, and drawn ones, laid out as the public archives."""

import shutil
from pathlib import Path

from rontgen.core.io import replacing
from rontgen.data.demo import archives

# Real X-rays, made by tools/miniature.py; by dataset and layout
MINIATURES = {("pneumonia", "chest_xray"): Path("data/demo/paultimothymooney--chest-xray-pneumonia.zip")}


def write_archive(dataset: str, layout: str, path: Path, image_size: int, seed: int) -> str:
    """Write the demo's archive of a layout at `path`; returns whose images it has, "miniature" or "drawn".

    image_size, seed: of drawn ones. Raises RontgenError where there is no archive of that layout.
    """
    if miniature := MINIATURES.get((dataset, layout)):
        with replacing(path) as temporary:
            shutil.copyfile(miniature, temporary)
        return "miniature"
    archives.write_archive(layout, path, image_size, seed)
    return "drawn"
