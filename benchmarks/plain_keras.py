"""jitet's first phase as a plain Keras script, the peer of benchmarks.starting: unzip, read folders, augment, fit."""

import sys
import time
import zipfile
from pathlib import Path

BEGUN = time.perf_counter()

import keras  # noqa: E402, the script's time starts before
from keras.src.legacy.preprocessing.image import ImageDataGenerator  # noqa: E402

SIZE, BATCH = 224, 32


def main(archive: str, folder: str, epochs: int) -> None:
    """Prints the seconds since the start at the end of each epoch, a line each."""
    with zipfile.ZipFile(archive) as file:
        file.extractall(folder)
    scaled = {"rescale": 1 / 127.5, "preprocessing_function": lambda image: image - 127.5}
    augmented = ImageDataGenerator(rotation_range=10, zoom_range=0.1, horizontal_flip=True, **scaled)
    options = {"target_size": (SIZE, SIZE), "batch_size": BATCH, "class_mode": "sparse"}
    train = augmented.flow_from_directory(Path(folder, "chest_xray/train"), **options)
    held = ImageDataGenerator(**scaled).flow_from_directory(Path(folder, "chest_xray/test"), shuffle=False, **options)

    backbone = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(SIZE, SIZE, 3), pooling="avg"
    )
    backbone.trainable = False
    head = [keras.layers.Dropout(0.2), keras.layers.Dense(2, activation="softmax")]
    model = keras.Sequential([backbone, *head])
    model.compile(keras.optimizers.AdamW(1e-4), "sparse_categorical_crossentropy", metrics=["accuracy"])
    ended = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: print(f"epoch {time.perf_counter() - BEGUN:.2f}", flush=True)
    )
    model.fit(train, validation_data=held, epochs=epochs, callbacks=[ended], verbose=0)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
