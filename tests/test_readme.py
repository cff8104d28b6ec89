"""The README names existing functions, make targets and folders."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()

STOP = re.compile(r"^\d+\. `(?P<file>[\w/.]+): (?P<function>\w+)`", re.MULTILINE)


def test_every_stop_of_an_order_names_an_existing_function() -> None:
    stops = [(stop["file"], stop["function"]) for stop in STOP.finditer(README)]

    assert 8 <= len(stops) <= 12
    assert len(set(stops)) == len(stops)
    for file, function in stops:
        defined = re.search(rf"\b(def|function) {function}\(", (ROOT / file).read_text())
        assert defined, f"{file} has no function {function}"


def test_the_readme_lists_every_make_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):.*## ", makefile, re.MULTILINE))
    documented = {
        word
        for line in re.findall(r"^make ([a-z ]+)", README, re.MULTILINE)
        for word in line.split()
        if word in targets
    }

    assert targets - {"setup"} == documented


def test_every_folder_in_the_map_exists() -> None:
    folder_map = README.split("## The map of rooms")[1]
    named = re.findall(r"^([a-z]+)/", folder_map, re.MULTILINE)

    assert len(named) >= 7
    assert [name for name in named if not (ROOT / name).is_dir()] == []
