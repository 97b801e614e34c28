"""The out-of-distribution check: whether a picture looks like the chest X-rays that a model was trained on."""

import base64
from dataclasses import dataclass

import numpy as np
from PIL import Image
from sklearn.decomposition import PCA

from rontgen.core.errors import RontgenError

# Chosen on 4,900 real X-rays, at 1% false alarms, among grids of 12 to 32, 10 to 80 components, and covariances of
# Ledoit and Wolf: most told photographs, text and noise, but finer grids with more components took gradients and
# negatives for X-rays. The distance alone recognised half of those upside down; over that of the turned picture, all
GRID = 16  # blocks across and down, each its mean: the smallest pictures in use have 16 pixels
COMPONENTS = 40
LEAST = 10  # images to fit on, and for the threshold
# Every training image is learned a second time, moved by up to as much, as others frame theirs: of real test X-rays
# turned by 10°, 4% are unfamiliar instead of 55%, and in a black frame 1% instead of 84%
TURN = 8  # degrees
ZOOM = 0.1  # natural logarithm of the factor, across and down each on its own
SHIFT = 0.05  # of the side
FEW = 3.0  # standard deviations
FLAT = 0.5  # gray levels of standard deviation, below which there is nothing to see
# Mean spread of the three channels, 0 to 255, above which a picture is no X-ray. A wholly red marker on 4% of the
# area gives 10
COLOUR = 12
# A stored array, and the attribute of a PCA that holds it
ARRAYS = {"mean": "mean_", "components": "components_", "variances": "explained_variance_"}


@dataclass(frozen=True, eq=False)
class Reference:
    """What the X-rays of a dataset look like, and the score of the least familiar ones.

    pca: of GRID² features, its arrays with the precision of float32.
    center, spread: of each part of a score, see there, mean and standard deviation of its logarithm over X-rays.
    threshold: a picture that scores more is unfamiliar.
    """

    pca: PCA
    center: list[float]
    spread: list[float]
    threshold: float

    def score(self, images: np.ndarray) -> np.ndarray:
        """How strange pictures are, the higher the stranger, whatever their brightness and contrast.

        The larger of two parts: the distance from the mean X-ray in a probabilistic PCA (Tipping and Bishop 1999), and
        that distance over the least one of the picture upside down or turned to either side, since an X-ray is most
        familiar upright. Of each the logarithm, in standard deviations above that of an ordinary X-ray.
        images: uint8 (N, H, W, 1), of any size. Returns float64 (N,), infinite for a flat picture.
        """
        features, flat = _features(images)
        scores = np.max((_parts(self.pca, features) - self.center) / self.spread, axis=1)
        return np.where(flat, np.inf, scores)

    def flags(self, images: np.ndarray) -> np.ndarray:
        """Which pictures are unfamiliar: bool (N,)."""
        return self.score(images) > self.threshold

    def to_dict(self) -> dict:
        """Ready for JSON, 60 kB of it: an array is base64 of its float32 values, little-endian, row by row."""
        arrays = {key: getattr(self.pca, name).astype("<f4").tobytes() for key, name in ARRAYS.items()}
        return {key: base64.b64encode(array).decode() for key, array in arrays.items()} | {
            "noise": self.pca.noise_variance_,
            "center": self.center,
            "spread": self.spread,
            "threshold": self.threshold,
        }

    @classmethod
    def from_dict(cls, values: dict) -> "Reference":
        """The Reference of which to_dict gave `values`; its scores are the same."""
        pca = PCA()
        for key, name in ARRAYS.items():
            setattr(pca, name, np.frombuffer(base64.b64decode(values[key]), "<f4").astype(np.float64))
        pca.components_ = pca.components_.reshape(-1, GRID**2)
        pca.n_components_, pca.n_features_in_ = pca.components_.shape
        pca.noise_variance_ = values["noise"]
        return cls(pca, values["center"], values["spread"], values["threshold"])


def fit(train_images: np.ndarray, validation_images: np.ndarray, false_alarms: float = 0.01) -> Reference:
    """Learn what X-rays look like, and the threshold that a share of new ones, false_alarms, is to exceed.

    Both uint8 (N, H, W, 1), memory-mapped or not, of different patients; flat ones, such as the black ones of
    unreadable files, are left out. Fewer than 1 / false_alarms validation images do not show what so small a share
    exceeds: the strangest of them, or FEW standard deviations if that is more, sets the threshold. Raises RontgenError
    for fewer than LEAST images of either.
    """
    train, validation = _usable(train_images, "training"), _usable(validation_images, "validation")
    moved, flat = _features(train_images, np.random.default_rng(0))
    train = np.concatenate([train, moved[~flat]])
    pca = PCA(min(COMPONENTS, len(train) // 10), svd_solver="covariance_eigh").fit(train)
    for name in ARRAYS.values():
        setattr(pca, name, getattr(pca, name).astype(np.float32).astype(np.float64))
    (pca.noise_variance_,) = _six_digits(pca.noise_variance_)  # above 0: even images that are all alike were moved

    parts = _parts(pca, validation)
    center = _six_digits(*parts.mean(axis=0))
    spread = _six_digits(*np.maximum(parts.std(axis=0), 1e-3))
    scores = np.max((parts - center) / spread, axis=1)
    # At rank / (N + 1): what a new image exceeds with that probability
    (threshold,) = _six_digits(np.quantile(scores, 1 - false_alarms, method="weibull"))
    if (len(scores) + 1) * false_alarms < 1:
        threshold = max(threshold, FEW)
    return Reference(pca, center, spread, threshold)


def _six_digits(*values: float) -> list[float]:
    return [float(f"{value:.6g}") for value in values]


def _parts(pca: PCA, features: np.ndarray) -> np.ndarray:
    """Logarithms of the two parts of a score: float64 (N, 2)."""
    upright = features.reshape(-1, GRID, GRID)
    views = [upright, upright[:, ::-1], *(np.rot90(upright, turns, (1, 2)) for turns in (1, 3))]
    likelihood = pca.score_samples(np.concatenate([pca.mean_[None], *(view.reshape(-1, GRID**2) for view in views)]))
    # Squared, and above 0; the mean X-ray itself is the most likely
    distance, *turned = np.split(1 + 2 * (likelihood[0] - likelihood[1:]), len(views))
    return np.log(np.stack([distance, distance / np.min(turned, axis=0)], axis=1))


def _usable(images: np.ndarray, name: str) -> np.ndarray:
    features, flat = _features(images)
    if (count := np.count_nonzero(~flat)) < LEAST:
        raise RontgenError(
            f"expected {LEAST} {name} images or more, and not blank, to learn what X-rays look like, received {count}: "
            "add an archive with more of them to the dataset in params.yaml"
        )
    return features[~flat]


def _features(images: np.ndarray, random: np.random.Generator | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Block means with mean 0 and standard deviation 1, float64 (N, GRID²), and which pictures are flat.

    random: move each picture by chance first.
    """
    blocks = np.zeros((len(images), GRID, GRID))
    for place, image in enumerate(images):
        gray = Image.fromarray(np.asarray(image[..., 0], dtype=np.float32))
        if random is not None:
            gray = _moved(gray.resize((4 * GRID, 4 * GRID), Image.Resampling.BOX), random)
        blocks[place] = np.asarray(gray.resize((GRID, GRID), Image.Resampling.BOX))
    features = blocks.reshape(len(images), -1)
    deviation = features.std(axis=1)
    return (features - features.mean(axis=1)[:, None]) / np.maximum(deviation, FLAT)[:, None], deviation < FLAT


def _moved(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """Turned, stretched and shifted about its middle; black where it was not."""
    angle, middle = np.deg2rad(random.uniform(-TURN, TURN)), np.array(image.size) / 2
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turn *= np.exp(random.uniform(-ZOOM, ZOOM, (2, 1)))
    offset = middle + random.uniform(-SHIFT, SHIFT, 2) * image.size - turn @ middle
    matrix = np.column_stack([turn, offset]).ravel().tolist()
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
