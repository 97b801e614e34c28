"""The phantoms: what every finding must show, and what must not give it away."""

import itertools
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rontgen.data.demo import phantom

FINDINGS = sorted(phantom.FINDINGS)
# The SHA-256 of 28 images, as an AMD processor with AVX2 draws them
DIGEST = "7482da0e63c163ac57e68d8ce1cc5e9daa5433d694d06cd96278e635bd376fda"
ABNORMAL = [finding for finding in FINDINGS if finding != "normal"]


def draw(finding: str, patient: int, exposure: int, height: int = 64, width: int = 64) -> phantom.Radiograph:
    return phantom.draw(finding, np.random.default_rng(patient), np.random.default_rng([99, exposure]), height, width)


def films(finding: str, count: int = 30) -> list[phantom.Radiograph]:
    """One film each of some patients."""
    return [draw(finding, patient, patient) for patient in range(count)]


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return (first & second).sum() / (first | second).sum()


@pytest.mark.parametrize("finding", FINDINGS)
def test_fields_have_the_size_and_the_types_that_are_promised(finding):
    drawn = draw(finding, 1, 1, 21, 34)
    assert [field.shape for field in drawn] == [(21, 34)] * 3
    assert [field.dtype for field in drawn] == [np.uint8, bool, bool]


@pytest.mark.skipif((platform.machine(), sys.platform) != ("x86_64", "linux"), reason="the digest is of x86-64 Linux")
@pytest.mark.parametrize("limited", ["nothing", "NumPy", "the C library"])
def test_other_processors_draw_the_same_bytes(limited):
    """With only its baseline, NumPy once drew some of these images otherwise."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    code = """
import hashlib
import numpy as np
from rontgen.data.demo.phantom import FINDINGS, draw
random = np.random.default_rng
images = [draw(finding, random(seed), random([99, seed]), 220, 250).image
          for seed in (20, 21, 25, 40) for finding in sorted(FINDINGS)]
print(hashlib.sha256(b"".join(image.tobytes() for image in images)).hexdigest())
"""
    supported = " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name])
    limits = {
        "nothing": {},
        "NumPy": {"NPY_DISABLE_CPU_FEATURES": supported} if supported else {},
        "the C library": {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F"},
    }
    environment = os.environ | limits[limited]
    drawn = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert drawn.stdout.strip() == DIGEST, drawn.stderr


def test_another_exposure_of_a_patient_is_another_image():
    assert (draw("pneumonia", 1, 1).image != draw("pneumonia", 1, 2).image).mean() > 0.5


@pytest.mark.parametrize("finding", ABNORMAL)
def test_anatomy_and_pose_do_not_depend_on_the_finding(finding):
    assert np.array_equal(draw(finding, 5, 6).lungs, draw("normal", 5, 6).lungs)


def test_two_exposures_of_a_patient_are_more_alike_than_two_patients():
    lungs = [[draw("normal", patient, 2 * patient + turn).lungs for turn in (0, 1)] for patient in range(30)]
    same = np.mean([overlap(*pair) for pair in lungs])
    others = np.mean([overlap(one[0], two[1]) for one, two in itertools.pairwise(lungs)])
    assert same > others + 0.02


def test_a_normal_chest_has_no_sign():
    assert not any(film.sign.any() for film in films("normal", 20))


@pytest.mark.parametrize("finding", ABNORMAL)
def test_every_abnormal_chest_has_a_sign_within_the_lungs(finding):
    for drawn in films(finding):
        assert drawn.sign.sum() >= 10
        assert not (drawn.sign & ~drawn.lungs).any()


@pytest.mark.parametrize("finding", ABNORMAL)
def test_opacities_brighten_the_lung_and_free_air_darkens_it(finding):
    changes = []
    for drawn, normal in zip(films(finding), films("normal"), strict=True):
        # Against what lies outside the lungs, since the tone of the two films differs.
        contrast = [film.image[drawn.sign].mean() - film.image[~drawn.lungs].mean() for film in (drawn, normal)]
        changes.append(contrast[0] - contrast[1])
    assert np.mean(changes) < -4 if finding == "pneumothorax" else np.mean(changes) > 10


def test_tuberculosis_lies_in_the_upper_zones_and_pneumonia_and_covid_do_not():
    def upper_share(finding: str) -> float:
        rows = [(np.nonzero(film.sign)[0], np.nonzero(film.lungs)[0].mean()) for film in films(finding)]
        return np.mean([(sign < middle).mean() for sign, middle in rows])

    assert upper_share("tuberculosis") > 0.85
    assert max(upper_share("pneumonia"), upper_share("covid")) < 0.60


def test_covid_is_in_both_lungs_and_pneumothorax_in_one():
    def smaller_share(finding: str) -> float:
        counts = np.array([(film.sign[:, :32].sum(), film.sign[:, 32:].sum()) for film in films(finding)])
        return np.mean(counts.min(axis=1) / counts.sum(axis=1))

    assert smaller_share("covid") > 0.3
    assert smaller_share("pneumothorax") < 0.02


def test_mean_brightness_alone_separates_no_two_findings():
    brightness = {
        finding: [draw(finding, 1000 * code + patient, 1000 * code + patient).image.mean() for patient in range(150)]
        for code, finding in enumerate(FINDINGS)
    }
    for one, other in itertools.combinations(FINDINGS, 2):
        area = roc_auc_score([0] * 150 + [1] * 150, brightness[one] + brightness[other])
        assert max(area, 1 - area) <= 0.70, (one, other)
