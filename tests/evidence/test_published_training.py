"""What papers publish of training, beside made-up records."""

import pytest

from made_up_studies import CLASSES, training
from rontgen.core.cells import Cell
from rontgen.evidence import published_training
from rontgen.evidence.published_counts import Published


def published(**values):
    """A row of jitet that gives these numbers, by metric without its `train.`, dots as underscores twice."""
    metrics = {f"train.{name.replace('__', '.')}": value for name, value in values.items()}
    cells = {metric: Cell(metric=metric, value=value, place="Table 2") for metric, value in metrics.items()}
    return Published("jitet", "jitet_mobilenetv2", CLASSES, cells)


def reached(*accuracies, treatment="protocol", epoch="kept"):
    """Records, by treatment, with these accuracies on their training images at an epoch."""
    records = training(treatment=treatment, rights=[90] * len(accuracies)).records
    for record, accuracy in zip(records, accuracies, strict=True):
        record.metrics["train"][epoch] = record.metrics["train"][epoch] | {"train_accuracy": accuracy}
    return {treatment: records}


def test_every_treatment_has_the_scores_of_each_seed_that_the_paper_gives():
    row = published(kept__train_accuracy="0.91", kept__validation_loss="0.3", epochs="15")
    treatments = reached(0.90, 0.91, 0.95) | reached(0.5, 0.6, treatment="own+scale=0.4")
    protocol, own = published_training.compare(row, treatments)
    assert (protocol.treatment, own.treatment, protocol.epoch) == ("protocol", "own+scale=0.4", "kept")
    assert list(protocol.paper) == list(protocol.ours) == ["train_accuracy", "validation_loss"]
    assert protocol.ours["train_accuracy"].tolist() == [0.90, 0.91, 0.95]
    assert own.ours["train_accuracy"].tolist() == [0.5, 0.6]


@pytest.mark.parametrize("epoch", ["first", "kept", "best", "final"])
def test_a_number_is_held_against_the_epoch_that_it_is_of(epoch):
    row = published(**{f"{epoch}__train_accuracy": "0.91"})
    (scores,) = published_training.compare(row, reached(0.52, 0.54, epoch=epoch))
    assert (scores.epoch, scores.ours["train_accuracy"].tolist()) == (epoch, [0.52, 0.54])


def test_each_epoch_that_a_paper_tells_of_has_scores_of_its_own():
    row = published(first__train_accuracy="0.5", final__train_accuracy="0.91", first__validation_loss="0.7")
    first, final = published_training.compare(row, reached(0.90, 0.91))
    assert (first.epoch, list(first.paper)) == ("first", ["train_accuracy", "validation_loss"])
    assert (final.epoch, list(final.paper)) == ("final", ["train_accuracy"])


@pytest.mark.parametrize(("paper", "differs"), [("0.91", []), ("0.78", ["train_accuracy"])])
def test_a_number_outside_the_range_of_one_more_seed_differs(paper, differs):
    (scores,) = published_training.compare(published(kept__train_accuracy=paper), reached(0.90, 0.91, 0.92))
    assert scores.differs == differs


def test_one_seed_has_no_range_to_differ_from():
    (scores,) = published_training.compare(published(kept__train_accuracy="0.78"), reached(0.91))
    assert scores.differs == []


def test_a_row_without_such_a_number_has_none():
    assert list(published_training.compare(published(epochs="15", best_loss_epoch="13"), reached(0.91))) == []
