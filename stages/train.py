"""Stage train: one model, by the protocol of its study."""

import argparse

from rontgen.core import errors, runs
from rontgen.core.imports import importing_keras
from rontgen.core.io import write_csv, write_json
from rontgen.data import arrays
from rontgen.training import history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="active, or a key of `runs` in a protocol.yaml")
    run = runs.load_run(parser.parse_args().run)
    manifest = arrays.read_manifest(run.image_set)
    pixels, synthetic = arrays.read_images(run.image_set), arrays.read_synthetic(run.image_set)
    weights, classes = arrays.read_weights(run.start), arrays.classes(manifest)

    # --help and missing inputs need not wait for Keras
    with importing_keras():
        from rontgen.core import determinism
        from rontgen.models.build import build_model
        from rontgen.training import callbacks, protocol

    determinism.prepare(run.train.seed, run.threads)
    if run.train.mixed_precision:
        determinism.mix_precision()
    inputs = [*run.image_set.preprocessed.iterdir(), *run.image_set.balanced.iterdir()]
    fingerprint = protocol.fingerprint(run, [*inputs, *run.start.folder.iterdir()])
    model = build_model(
        run.model_name, run.model, pixels.shape[1:], len(classes), weights,
        channels=run.image.channels, normalize=run.image.normalize,
    )  # fmt: skip
    if run.batch_norm_momentum is not None:
        protocol.set_batch_norm_momentum(model, run.batch_norm_momentum)
    train_set = arrays.subset("train", manifest, classes, pixels, synthetic)
    validation_set = arrays.subset("validation", manifest, classes, pixels)
    with callbacks.open_live(run.live) as live:
        result = protocol.fit(
            model, train_set, validation_set, run.train, run.augment,
            unfrozen_layers=None if weights is None else run.model.unfrozen_layers,
            name=run.name, live=live, progress_file=run.progress, fingerprint=fingerprint,
        )  # fmt: skip

    protocol.save(model, run.model_file)
    write_csv(result.history, run.history)
    images = {"train_images": len(train_set), "validation_images": len(validation_set)}
    write_json(history.summary(result.history, result.kept_epoch) | images, run.train_metrics)
    times = {"seconds": result.seconds, "images_per_second": result.images_per_second}
    write_json({**times, "device": protocol.device()}, run.time_metrics)
    run.progress.unlink()


if __name__ == "__main__":
    errors.run(main)
