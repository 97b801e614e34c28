"""Stage train: one model, by the protocol of its study."""

import argparse
import gc
from contextlib import nullcontext

from rontgen import datasets, errors, runs
from rontgen.files import replacing, write_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", required=True, help="active, or a key of `reported` in params.yaml")
    run = runs.load_run(parser.parse_args().run)
    manifest = datasets.read_manifest(run.view)
    pixels, synthetic = datasets.read_images(run.view), datasets.read_synthetic(run.view)
    weights = datasets.read_weights(run.start)

    # Keras takes seconds to import: --help and missing inputs need not wait for it. A quarter of them would go into
    # looking for garbage among what is there to stay
    gc.disable()
    from rontgen import callbacks, distribution, reproducibility, training
    from rontgen.models import build_model

    gc.freeze()
    gc.enable()

    reproducibility.prepare(run.train.seed, run.threads)
    distribution.prepare(run.train.distribute, run.train.batch_size)
    if run.train.mixed_precision:
        reproducibility.mix_precision()
    inputs = [run.view.study.manifest, *run.view.preprocessed.iterdir(), *run.view.balanced.iterdir()]
    fingerprint = training.fingerprint(run, [*inputs, *run.start.folder.iterdir()])
    distribution.agree(fingerprint)
    options = run.model.model_dump(exclude_unset=True, exclude={"weights"})
    model = build_model(
        run.model_name, pixels.shape[1:], len(run.classes), weights,
        channels=run.image.channels, normalize=run.image.normalize, **options,
    )  # fmt: skip
    if run.batch_norm_momentum is not None:
        training.set_batch_norm_momentum(model, run.batch_norm_momentum)
    train_set = datasets.subset("train", manifest, run.classes, pixels, synthetic)
    validation_set = datasets.subset("validation", manifest, run.classes, pixels)
    writes = distribution.is_first()
    with callbacks.open_live(run.live) if writes else nullcontext() as live:
        result = training.fit(
            model, train_set, validation_set, run.train, run.augment,
            unfrozen_layers=None if weights is None else run.model.unfrozen_layers,
            name=run.name, live=live, progress_file=run.progress, fingerprint=fingerprint,
        )  # fmt: skip

    if not writes:
        return
    training.save(model, run.model_file)
    with replacing(run.history) as path:
        result.history.to_csv(path, index=False)
    write_json(training.summary(result, len(train_set), len(validation_set)), run.train_metrics)
    times = {"seconds": result.seconds, "images_per_second": result.images_per_second}
    write_json({**times, "device": training.device()}, run.time_metrics)
    run.progress.unlink()


if __name__ == "__main__":
    errors.run(main)
