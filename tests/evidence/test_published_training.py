"""What papers publish of training, beside made-up records."""

import pytest
from rontgen.evidence.published import Cell

from made_up_studies import training
from rontgen.evidence import published_training
from rontgen.evidence.published_counts import Published


def published(**values):
    """A row of jitet that gives these numbers, by metric without its `train.`, dots as underscores twice."""
    metrics = {f"train.{name.replace('__', '.')}": value for name, value in values.items()}
    cells = {metric: Cell(metric=metric, value=value, place="Table 2") for metric, value in metrics.items()}
    return Published("jitet", "jitet_mobilenetv2", ("NORMAL", "PNEUMONIA"), cells)


def reached(*accuracies, reading="as_stated"):
    """Records, by reading, that kept an epoch with these accuracies on their training images."""
    records = training(reading=reading, rights=[90] * len(accuracies)).records
    for record, accuracy in zip(records, accuracies, strict=True):
        record.metrics["train"]["kept"] = record.metrics["train"]["kept"] | {"train_accuracy": accuracy}
    return {reading: records}


def test_every_reading_has_the_scores_of_each_seed_that_the_paper_gives():
    row = published(kept__train_accuracy="0.91", kept__validation_loss="0.3", epochs="15")
    readings = reached(0.90, 0.91, 0.95) | reached(0.5, 0.6, reading="own")
    stated, own = published_training.compare(row, readings)
    assert (stated.reading, own.reading, stated.epoch) == ("as_stated", "own", "kept")
    assert list(stated.paper) == list(stated.ours) == ["train_accuracy", "validation_loss"]
    assert stated.ours["train_accuracy"].tolist() == [0.90, 0.91, 0.95]
    assert own.ours["train_accuracy"].tolist() == [0.5, 0.6]


@pytest.mark.parametrize(("paper", "differs"), [("0.91", []), ("0.78", ["train_accuracy"])])
def test_a_number_outside_the_range_of_one_more_seed_differs(paper, differs):
    (scores,) = published_training.compare(published(kept__train_accuracy=paper), reached(0.90, 0.91, 0.92))
    assert scores.differs == differs


def test_one_seed_has_no_range_to_differ_from():
    (scores,) = published_training.compare(published(kept__train_accuracy="0.78"), reached(0.91))
    assert scores.differs == []


def test_a_row_without_such_a_number_has_none():
    assert list(published_training.compare(published(epochs="15", best_epoch="13"), reached(0.91))) == []
