"""Work in clones side by side: each has its own, what is killed goes on where it was, results come in order."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from distributed import LocalCluster
from dvc.repo import Repo

from rontgen.core.errors import RontgenError
from rontgen.parallel import clone, recording, side_by_side
from rontgen.parallel.clone import Clone


@pytest.fixture
def origin(tmp_path, monkeypatch):
    """Of a committed project with one file."""
    folder = tmp_path / "project"
    (folder / "data").mkdir(parents=True)
    monkeypatch.chdir(folder)
    clone.git("init", "-q")
    Repo.init().close()
    Path("params.yaml").write_text("a: 1\n")
    clone.git("add", "-A")
    clone.git("commit", "-qm", "start")
    with recording.origin() as found:
        yield found


def test_each_piece_of_work_has_a_clone_which_the_next_takes_over(origin, tmp_path):
    with recording.free(origin, tmp_path, "one") as one, recording.free(origin, tmp_path, "two") as two:
        assert [each.folder.name for each in (one, two)] == ["reproduce", "reproduce-2"]
        # where one downloads an archive while the other waits, see kaggle.get_archive
        assert {(each.folder / "data/kaggle").resolve() for each in (one, two)} == {Path("data/kaggle").resolve()}
    with recording.free(origin, tmp_path, "three") as three:
        assert three.folder == one.folder


def test_killed_work_finds_its_progress_in_another_clone(origin, tmp_path):
    with pytest.raises(KeyboardInterrupt), recording.free(origin, tmp_path, "one") as killed:
        (killed.folder / "models/resume/run.npz").write_text("half")
        raise KeyboardInterrupt
    with recording.free(origin, tmp_path, "two") as other, recording.free(origin, tmp_path, "one") as found:
        assert other.folder == killed.folder != found.folder
        assert not (other.folder / "models/resume/run.npz").exists()
        assert (found.folder / "models/resume/run.npz").read_text() == "half"
    with recording.free(origin, tmp_path, "one") as found:
        assert not (found.folder / "models/resume/run.npz").exists()


@pytest.mark.parametrize("mark", ["{root}/reproduce:elsewhere", "elsewhere:{root}/project/.dvc/tmp/resume/one"])
def test_what_a_killed_worker_left_running_ends(origin, tmp_path, mark):
    environment, pipe = os.environ | {clone.MARK: mark.format(root=tmp_path)}, subprocess.PIPE
    with subprocess.Popen(["sh", "-c", "echo begun; read end"], env=environment, stdin=pipe, stdout=pipe) as left:
        left.stdout.readline()  # before that, /proc may not show its environment yet
        with recording.free(origin, tmp_path, "one"):
            left.wait(timeout=10)


def test_what_is_printed_is_given_line_by_line_where_somebody_asks(tmp_path):
    said = []
    script = "import sys; print('1 of 2\\r2 of 2'); print('epoch', file=sys.stderr); sys.exit(3)"
    assert Clone(tmp_path, "", said.append)._run([sys.executable, "-c", script]) == 3
    assert sorted(said) == ["2 of 2", "epoch"]


@pytest.fixture(params=["jobs", "scheduler"])
def two_workers(request, tmp_path):
    """Options for two workers of this machine, or of a scheduler."""
    if request.param == "jobs":
        yield {"jobs": 2}
        return
    place = {"dashboard_address": "127.0.0.1:0", "local_directory": str(tmp_path / "elsewhere")}
    with LocalCluster(n_workers=2, threads_per_worker=1, silence_logs=50, **place) as cluster:
        yield {"scheduler": cluster.scheduler_address}


@pytest.mark.slow
def test_results_come_in_order_and_a_killed_worker_costs_what_it_had_not_saved(origin, two_workers, tmp_path, capfd):
    def work(prepared, name, other):  # not at module level, from where the workers could not import it
        saved = prepared.folder / "models/resume/run.npz"
        if name == "first" and not saved.exists():
            saved.write_text(prepared.folder.name)
            os.kill(os.getpid(), signal.SIGKILL)
        (tmp_path / name).touch()
        while not (tmp_path / other).exists():  # which is at work at the same time, though one of them was killed
            time.sleep(0.1)
        prepared.say("done")
        return name, saved.exists(), prepared.folder.is_relative_to(origin.data.parent)

    pieces = {"first": ("second",), "second": ("first",), "third": ("third",)}
    with side_by_side.results(origin, work, pieces, **two_workers) as found:
        results = list(found)
    assert [(name, resumed) for name, resumed, _ in results] == [("first", True), ("second", False), ("third", False)]
    assert {here for _, _, here in results} == {"jobs" in two_workers}
    printed = capfd.readouterr()
    assert {f"{name}: done" for name in pieces} <= set(printed.out.splitlines())
    assert "1 of 3 done, about 0:0" in printed.err and "3 of 3" not in printed.err


@pytest.mark.slow
def test_work_that_kills_every_worker_is_named(origin, monkeypatch):
    def work(prepared, name):
        os.kill(os.getpid(), signal.SIGKILL)

    with (
        pytest.raises(RontgenError, match="greedy: expected a worker that finishes it, lost 4 in a row"),
        side_by_side.results(origin, work, {"greedy": ()}, jobs=2) as found,
    ):
        list(found)


def test_the_time_left_is_that_of_the_rounds_to_come(monkeypatch, capsys):
    clock = iter([0, 60, 60, 120, 120])
    monkeypatch.setattr(side_by_side.time, "monotonic", lambda: next(clock))
    assert list(side_by_side._timed(iter("abcde"), 5, 2)) == list("abcde")
    said = capsys.readouterr().err.splitlines()
    assert said == [f"{done} of 5 done, about 0:0{left}:00 left" for done, left in ((1, 2), (2, 2), (3, 1), (4, 1))]


def test_in_the_last_round_no_time_is_left_to_tell(capsys):
    assert list(side_by_side._timed(iter("ab"), 2, 2)) == ["a", "b"]
    assert capsys.readouterr().err == "1 of 2 done\n"
