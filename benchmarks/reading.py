"""How fast images reach the training, augmented or as they are, and how much memory that takes."""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from rontgen.data.arrays import Subset
from rontgen.training.batches import Batches

from .common import Measured, Row, chests, drain, in_turn, memory, seconds, settings, threads

BATCH = 32


def augmented(channels: int) -> Measured:
    """224-px images per second with the augmentation of smatika. Ours moves the one gray channel."""
    import keras
    import tensorflow as tf
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    from rontgen.training.augmentation import Augmentation

    tf.config.threading.set_intra_op_parallelism_threads(threads())
    augment = settings().studies["smatika"].augment
    images, labels = chests(256, 224, ("normal", "pneumonia"))
    batches = Batches(whole(images, labels), BATCH, sigmoid=True, seed=1, augmentation=augment, with_amounts=True)
    layer = Augmentation()
    on_device = tf.function(lambda pixels, amounts: layer([pixels, amounts], training=True))

    def ours() -> float:
        # as arrays, because the peer gives arrays too
        return len(images) / seconds(
            lambda: drain(on_device(*batches[index][0]).numpy() for index in range(len(batches)))
        )

    generator = ImageDataGenerator(
        rotation_range=augment.rotation, width_shift_range=augment.width_shift,
        height_shift_range=augment.height_shift, zoom_range=augment.zoom, shear_range=augment.shear,
        horizontal_flip=augment.horizontal_flip,
    )  # fmt: skip
    keras.utils.set_random_seed(1)
    flow = generator.flow(np.repeat(images, channels, axis=-1), labels, batch_size=BATCH)

    def peer() -> float:
        return len(images) / seconds(lambda: drain(flow[index] for index in range(len(flow))))

    return in_turn(ours, peer, repeats=5)


def fed(kind: str) -> Measured:
    """224-px images per second, shuffled, not augmented: memory-mapped against JPEG or PNG files."""
    import keras

    images, labels = chests(64, 224)
    images, labels = np.tile(images, (32, 1, 1, 1)), np.tile(labels, 32)
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "images.npy"), images)
        for number, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = Path(folder, "files", str(label), f"{number}.{kind}")
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[..., 0]).save(path, quality=90)
        mapped = np.load(Path(folder, "images.npy"), mmap_mode="r")
        batches = Batches(whole(mapped, labels), BATCH, sigmoid=True, seed=1)
        files = keras.utils.image_dataset_from_directory(
            str(Path(folder, "files")), image_size=(224, 224), color_mode="grayscale", batch_size=BATCH, seed=1,
            verbose=False,
        )  # fmt: skip
        return in_turn(
            lambda: len(images) / seconds(lambda: drain(batches[index] for index in range(len(batches)))),
            lambda: len(images) / seconds(lambda: drain(files)),
            repeats=5,
        )


def memory_of_an_epoch() -> Measured:
    """MiB of anonymous memory in an epoch of `fit` over 10,000 images of 640 px, against the size of their array.

    The model has one weight: all 313 batches are read and go all the way into `fit`, but the activations of a CNN of
    that size, which have nothing to do with the input, are left out.
    """
    import keras

    count = 10_000
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        path = Path(folder, "images.npy")
        images = np.lib.format.open_memmap(path, "w+", np.uint8, (count, 640, 640, 1))  # sparse: zeros
        size = path.stat().st_size / 2**20
        images = np.load(path, mmap_mode="r")
        image = keras.Input((640, 640, 1))
        pixels = keras.layers.Rescaling(1 / 255)(image)
        mean = keras.layers.GlobalAveragePooling2D()(pixels)
        model = keras.Model(image, keras.layers.Dense(1, activation="sigmoid")(mean))
        model.compile("adam", "binary_crossentropy")
        batches = Batches(whole(images, np.arange(count) % 2), BATCH, sigmoid=True, seed=1)
        peak = [memory("RssAnon")]
        watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: peak.append(memory("RssAnon")))
        model.fit(batches, epochs=1, shuffle=False, callbacks=[watch], verbose=0)
    return Measured(max(peak), size, max(peak) / size, f"{peak[0]:.0f} MiB of it before the first batch")


def whole(images: np.ndarray, labels: np.ndarray) -> Subset:
    return Subset(images, np.arange(len(images)), labels)


ROWS = {
    "augmented": Row(
        "augmented 224-px images per second, study smatika (three channels)",
        "ImageDataGenerator on the three channels that the networks take", "images/s", 10, True,
        lambda originals: augmented(3),
    ),
    "augmented_gray": Row(
        "the same, the peer on one channel too",
        "ImageDataGenerator on gray images", "images/s", 12, True, lambda originals: augmented(1),
    ),
    "fed_jpeg": Row(
        "224-px images per second fed to training",
        "image_dataset_from_directory, JPEG", "images/s", 10, True, lambda originals: fed("jpeg"),
    ),
    "fed_png": Row(
        "the same",
        "image_dataset_from_directory, PNG", "images/s", 10, True, lambda originals: fed("png"),
    ),
    "memory": Row(
        "memory of an epoch over 10,000 images of 640 px (input side)",
        "their array", "MiB", 2048 / (10_000 * 640 * 640 / 2**20), False, lambda originals: memory_of_an_epoch(),
    ),
}  # fmt: skip
