"""Move the records of the first format to the settings, names and splits of this one, each only where it is proved the same.

    python tools/migrate_records.py RAW

RAW: a folder with data/raw/<dataset> of the archives behind the records. For each record it proves that the settings it
was trained with are those of its new address, that its split is the one made again here (by the MD5 of the manifest), and
that its history gives its training metrics. jitet's early stopping now watches validation accuracy: a record stays where
its history shows that neither rule would have ended a phase early.
"""

import hashlib
import json
import sys
from contextlib import chdir
from pathlib import Path

import pandas as pd

from rontgen.audits import near_duplicates
from rontgen.core.io import write_csv, write_json
from rontgen.data import manifests
from rontgen.evaluation import history
from rontgen.evidence import recorded_splits, records
from rontgen.evidence.reproduce import Job, plan

READINGS = {
    ("smatika_vgg16", "as_stated"): "plain_validation",
    ("smatika_vgg16", "own_preprocessing"): "own_preprocessing_plain_validation",
    ("smatika_vgg16_leakfree", "as_stated"): "plain_validation",
}

FIRST = {"split": {"keep_copies": False}, "model": {"family": "", "preprocessing": "", "cell": "", "pool_to": None}}


def main() -> None:
    raw = Path(sys.argv[1]).absolute()
    made: dict[tuple, tuple[pd.DataFrame, str]] = {}
    for path in sorted(records.FOLDER.glob("*/*/seed-*")):
        run, old, seed = path.parts[-3], path.parts[-2], int(path.name.removeprefix("seed-"))
        provenance = json.loads((path / "provenance.json").read_text())
        if "extra" in provenance:
            continue
        reading = READINGS.get((run, old), "protocol" if old == "as_stated" else old)
        job = job_of(run, reading, seed, provenance["set"])
        expected, received = translated(provenance["settings"], run), job.load().settings
        epochs = pd.read_csv(path / "history.csv")
        if run.startswith("jitet"):
            assert never_stops(epochs, received["train"]), f"{path}: early stopping would have acted"
            expected["train"]["early_stopping"]["monitor"] = "val_accuracy"
        for part, lacking in FIRST.items():  # of the first commits' records, when there was no choice
            for name, value in lacking.items():
                if name in received[part]:
                    assert expected[part].setdefault(name, received[part][name] if value == "" else value) == received[part][name]
        if fine_tune := expected["train"]["fine_tune"]:
            fine_tune.setdefault("start", "best")
        differ = [part for part in expected | received if expected.get(part) != received.get(part)]
        assert not differ, f"{path}: {[(expected.get(part), received.get(part)) for part in differ]}"

        metrics = json.loads((path / "metrics.json").read_text())
        was = metrics["train"]
        images = {name: was[name] for name in ("train_images", "validation_images")}
        now = history.summary(epochs, was["best_epoch"]) | images
        assert all(was[key] == now[key] for key in ("epochs", "kept", "best", "final"))

        study = job.load().image_set.study
        outs = {name: md5 for stage in provenance["stages"].values() for name, md5 in stage["outs"].items()}
        key = study.name, seed, json.dumps(study.split.model_dump())
        if key not in made:
            made[key] = manifest_of(study, raw)
        manifest, md5 = made[key]
        assert md5 == outs[str(study.manifest)], f"{path}: another split"
        column = recorded_splits.write(study.name, manifest, records.FOLDER)

        load = job.load()
        files = (load.model_file, study.manifest, load.image_set.preprocessed)
        head = {"run": run, "reading": reading, "seed": seed, "commit": provenance["commit"], "set": job.stated}
        head |= {"extra": job.extra, "split": {"name": study.name, "column": column}, "settings": received}
        tail = {key: provenance[key] for key in ("archives", "weights", "by_hand")}
        tail["outs"] = {str(file): outs[str(file)] for file in files}
        tail["stages"] = {
            name: hashlib.md5(json.dumps(entry, sort_keys=True).encode()).hexdigest()
            for name, entry in provenance["stages"].items()
        }
        tail |= {key: provenance[key] for key in ("packages", "machine", "time")}
        tail["deviations"] = provenance["deviations"]
        target = records.path_of(run, job.treatment, seed)
        if target != path:
            target.parent.mkdir(parents=True, exist_ok=True)
            assert not target.exists()
            path.rename(target)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()
        for name, values in (("metrics.json", {"test": metrics["test"], "train": now}), ("provenance.json", head | tail)):
            (target / name).write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{path} → {target}")


def job_of(run: str, reading: str, seed: int, given: dict[str, str]) -> Job:
    stated = plan([run], [seed], reading, {})[0].stated
    old_keys = {key.rpartition(".")[2] for key in stated} | {"profile", "seed"}
    extra = {key: value for key, value in given.items() if key.rpartition(".")[2] not in old_keys}
    return plan([run], [seed], reading, extra)[0]


def translated(old: dict, run: str) -> dict:
    """The settings of an old record as they are named now."""
    split = {key: value for key, value in old["split"].items() if value is not None}
    for part in ("fractions", "counts"):
        if part in split:
            split[part] = {key: value for key, value in split[part].items() if value is not None}
    if split["policy"] != "balanced":
        split.pop("on_shortage")
    model = dict(old[old["model"]])
    weights = model.pop("weights")
    options = {key: value for key, value in model.items() if value is not None or key == "dense_units"}
    augment = old["augment"] and old["augment"] | {"validation": False}
    train = old["train"] | {"distribute": old["train"].get("distribute", "none")}
    if train["early_stopping"]:
        train["early_stopping"] = train["early_stopping"] | {"monitor": "val_loss"}
    return {
        "dataset": old["dataset"],
        "split": split,
        "max_per_class": old["max_per_class"],
        "image": {"size": old["size"], **old["image"]},
        "balance": old["balance"],
        "model": {"name": old["model"], **options},
        "weights": model["backbone"] if old["pretrained"] and weights == "imagenet" else "random",
        "augment": augment,
        "train": train,
        "batch_norm_momentum": old["batch_norm_momentum"],
        "threads": old["threads"],
    }


def never_stops(epochs: pd.DataFrame, train: dict) -> bool:
    """Whether a stop by validation accuracy or by loss, with this patience, would have ended neither phase early."""
    phases = [epochs.iloc[: train["epochs"]], epochs.iloc[train["epochs"] :]]
    whole = [len(phase) for phase in phases] == [train["epochs"], train["fine_tune"]["epochs"]]
    patience = train["early_stopping"]["patience"]
    for phase in phases:
        for score in (phase["validation_accuracy"], -phase["validation_loss"]):
            best, wait = float("-inf"), 0
            for value in score.iloc[:-1]:  # a stop after the last epoch is none
                wait = 0 if value > best else wait + 1
                best = max(best, value)
                if wait >= patience:
                    return False
    return whole


def manifest_of(study, raw: Path) -> tuple[pd.DataFrame, str]:
    with chdir(raw):
        if study.is_leakfree and not study.fingerprints.exists():
            source = near_duplicates.Source(study.dataset_name, study.dataset, False, 0)
            images, found, left_out = manifests.list_images(source)
            near_duplicates.write(near_duplicates.take(images, source.raw, 0), study.fingerprints)
            write_json({"found": found, "left_out": left_out}, study.fingerprints / manifests.LISTING)
        manifest, _ = manifests.build(study)
        write_csv(manifest, Path("manifest.csv"))
        return manifest, hashlib.md5(Path("manifest.csv").read_bytes()).hexdigest()


if __name__ == "__main__":
    main()
