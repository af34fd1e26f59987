"""`pareto-search doctor`: what it finds, and what it says of what is wrong."""

import subprocess
import sys
from pathlib import Path

import torch

from tests.pareto.home import Home
from tests.pareto.program import run


def lines(out: str) -> dict[str, str]:
    """What is said of each thing, with `ok` or `wrong` before it."""
    found = {}
    for line in out.splitlines():
        mark, _, rest = line.partition(" ")
        if mark in ("ok", "wrong"):
            about, _, said = rest.strip().partition(": ")
            found[about] = f"{mark}: {said}"
    return found


def test_a_healthy_machine_has_room_on_ray_too(home: Home) -> None:
    before = home.files()
    ending = run(home.folder, "doctor")
    said = lines(ending.out)
    assert ending.code == 0, ending
    assert f"torch {torch.__version__.partition('+')[0]}" in said["versions"]
    assert "1 studies" in said["storage"]
    assert "GiB free" in said["workspace"]
    assert "1 machine(s)" in said["ray"]
    assert "room for" in said["ray"]
    assert all(words.startswith("ok") for words in said.values())
    assert home.files() == before


def test_everything_that_is_wrong_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    words = ["--storage", "postgresql://me:s3cr3t@127.0.0.1:1/studies"]
    words += ["--workspace", str(tmp_path / "file" / "folder"), "--ray-address", "ray://nowhere:1"]
    ending = run(tmp_path, "doctor", *words)
    said = lines(ending.out)
    assert ending.code == 1
    wrong = {about for about, what in said.items() if what.startswith("wrong")}
    assert wrong == {"storage", "workspace", "ray"}
    assert "clock" not in said
    assert ending.out.count("\n      ") == len(wrong)
    assert "s3cr3t" not in ending.out + ending.err
    assert ending.err == ""


def test_a_torchvision_that_does_not_match_is_named(tmp_path: Path) -> None:
    # What such a torchvision does on import, as the installed one does not.
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        'raise RuntimeError("operator torchvision::nms does not exist")'
    )
    code = """if True:
        from pareto.doctor import examine
        for finding in examine("sqlite:///s.db", "w", None):
            if finding.about == "torchvision":
                print(finding.said, finding.remedy, sep="|")
                break
    """
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    said, remedy = ended.stdout.strip().split("|")
    assert "operator torchvision::nms does not exist" in said
    assert "pip install" in remedy
