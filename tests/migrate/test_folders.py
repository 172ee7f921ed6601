"""Files from one storage to another, to a server that speaks S3's protocol and back, and the verb that does it."""

import os

import boto3
import pytest
from moto.server import ThreadedMotoServer

from clef_ray.cli import main
from clef_ray.errors import StorageError
from clef_ray.migrate.files import FOLDERS, copy_folder, copy_folders
from clef_ray.store import Store


@pytest.fixture(scope="module")
def bucket():
    """The URI of an empty bucket; its server's address and its keys are in the environment, as a user has them."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    known = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    known |= {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in known.items():
            environment.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="clef")
        yield "s3://clef"
    server.stop()


def fill(folder):
    """name -> bytes of everything that another storage takes over."""
    taken = {
        "shards/demo/manifest.json": b"{}",
        "shards/demo/part-00000.parquet": os.urandom(3_000_000),
        "runs/0a1b/encoder.pt": os.urandom(1000),
        "runs/0a1b/empty": b"",
        "reports/toy-1234/report.html": b"<p>",
        "noise/bank-0a1b.npz": b"noise",
    }
    left = ("README.md", "mlflow/mlflow.db", "optuna/optuna.db", "leases/x.json", "ray/0a1b/state")
    passing = ("runs/0a1b/encoder.pt.0123abcd-77.89abcdef.tmp", "runs/.writable-0123abcd")
    for name, content in (taken | dict.fromkeys((*left, *passing), b"not taken")).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return taken


def read(uri):
    store = Store(uri)
    return {entry.name: store.read_bytes(entry.name) for entry in store.walk()}


def moved(source, target, dry_run=False, overwrite=False):
    counts = copy_folders(
        str(source), str(target), FOLDERS, lambda *_: None, dry_run=dry_run, overwrite=overwrite
    )
    return {c.what: (c.copied, c.there, c.differ, c.size) for c in counts}


def test_to_an_object_store_and_back(bucket, tmp_path):
    taken = fill(tmp_path / "here")
    sizes = {"shards": 3_000_002, "runs": 1000, "reports": 3, "noise": 5}
    numbers = {"shards": 2, "runs": 2, "reports": 1, "noise": 1}
    fresh = {name: (numbers[name], 0, 0, sizes[name]) for name in FOLDERS}
    there = f"{bucket}/storage"
    assert moved(tmp_path / "here", there, dry_run=True) == fresh
    assert read(there) == {}
    assert moved(tmp_path / "here", there) == fresh
    assert read(there) == taken
    assert moved(tmp_path / "here", there) == {name: (0, numbers[name], 0, 0) for name in FOLDERS}
    copy_folder(there, str(tmp_path / "back"), lambda *_: None, dry_run=False, overwrite=False)
    assert read(str(tmp_path / "back")) == taken


def test_what_differs_in_size_or_content_is_left_alone_unless_told(tmp_path):
    taken = fill(tmp_path / "here")
    moved(tmp_path / "here", tmp_path / "there")
    encoder, report = tmp_path / "there/runs/0a1b/encoder.pt", tmp_path / "there/reports/toy-1234/report.html"
    encoder.write_bytes(b"x" * 1000)
    report.write_bytes(b"longer")
    counts = copy_folders(
        str(tmp_path / "here"),
        str(tmp_path / "there"),
        FOLDERS,
        lambda *_: None,
        dry_run=False,
        overwrite=False,
    )
    assert {c.what: (c.differ, c.named) for c in counts if c.differ} == {
        "runs": (1, ["runs/0a1b/encoder.pt"]),
        "reports": (1, ["reports/toy-1234/report.html"]),
    }
    assert (encoder.read_bytes(), report.read_bytes()) == (b"x" * 1000, b"longer")
    assert moved(tmp_path / "here", tmp_path / "there", dry_run=True, overwrite=True)["runs"] == (
        1,
        1,
        0,
        1000,
    )
    assert encoder.read_bytes() == b"x" * 1000
    assert moved(tmp_path / "here", tmp_path / "there", overwrite=True)["runs"] == (1, 1, 0, 1000)
    assert read(str(tmp_path / "there")) == taken


def test_an_interrupted_copy_goes_on(tmp_path):
    taken = fill(tmp_path / "here")

    def until(what, done, of):
        if (what, done) == ("runs", 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        copy_folders(
            str(tmp_path / "here"), str(tmp_path / "there"), FOLDERS, until, dry_run=False, overwrite=False
        )
    assert moved(tmp_path / "here", tmp_path / "there")["runs"][:3] == (1, 1, 0)
    assert read(str(tmp_path / "there")) == taken


def test_a_place_that_gives_back_other_bytes_is_an_error(tmp_path, monkeypatch):
    fill(tmp_path / "here")
    write = Store.write_bytes
    monkeypatch.setattr(Store, "write_bytes", lambda self, name, data: write(self, name, data[:-1]))
    with pytest.raises(StorageError, match="other bytes than were written"):
        moved(tmp_path / "here", tmp_path / "there")


def test_the_verb_tells_what_it_did_and_its_exit_code_what_differs(tmp_path, capsys):
    fill(tmp_path / "here")
    line = ["migrate", "--storage", str(tmp_path / "here"), "--to", str(tmp_path / "there")]
    assert main([*line, "--dry-run"]) == 0
    assert "would copy" in capsys.readouterr().out
    assert not (tmp_path / "there").exists()
    assert main(line) == 0
    out = capsys.readouterr().out
    assert [row.split() for row in out.splitlines() if row.startswith("shards")] == [
        ["shards", "2", "0", "0", "3.0", "MB"]
    ]
    assert main(line) == 0
    assert "Nothing to do" in capsys.readouterr().out
    (tmp_path / "there/noise/bank-0a1b.npz").write_bytes(b"other")
    assert main(line) == 1
    out = capsys.readouterr().out
    assert "noise: noise/bank-0a1b.npz" in out
    assert "--overwrite" in out
    assert main([*line, "--overwrite"]) == 0
    assert (tmp_path / "there/noise/bank-0a1b.npz").read_bytes() == b"noise"
    assert main(["migrate", "--copy", str(tmp_path / "there"), str(tmp_path / "backup")]) == 0
    assert read(str(tmp_path / "backup")) == read(str(tmp_path / "there"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ([], "nothing to move"),
        (["--tracking-to", "postgresql://clef@db/mlflow"], "go together"),
        (["--artifacts-to", "s3://clef/mlflow", "--to", "x"], "go together"),
        (["--copy", "a", "b", "--to", "c"], "stands alone"),
        (["--study-to", "postgresql://clef:secret-word@db/optuna"], "--study-to holds a password"),
        (["--to", "s3://key:secret-word@clef/storage"], "--to holds a password"),
        (["--copy", "a", "s3://key:secret-word@clef/storage"], "--copy holds a password"),
        (["--study-to", "postgresql://clef@db/optuna?password=secret-word"], "--study-to holds a password"),
        (["--study-to", "journal:////x/optuna.log"], "from and to sqlite"),
        (["--study-to", "postgresql://clef@127.0.0.1:1/optuna"], "no such file"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_done(options, says, tmp_path, capsys):
    assert main(["migrate", "--storage", str(tmp_path), *options]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert "secret-word" not in told
    assert list(tmp_path.iterdir()) == []
