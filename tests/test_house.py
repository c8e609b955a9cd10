"""The rules that keep the project readable: who imports what, how long a file is, that the
commands in its pages are there."""

import ast
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from fewvid.__main__ import COMMANDS

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "fewvid"
MODULES = sorted(PACKAGE.rglob("*.py"))
SCRIPTS = [*sorted((REPOSITORY / "launch").glob("*.sh")), *sorted((REPOSITORY / ".ci").iterdir())]
PAGES = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "docs/pods.md")]

# An import goes to the same line or one further down; "" is fewvid/__init__.py.
LAYERS = (
    {"__main__"},
    {"commands"},
    {""},
    {"bench", "studies", "evaluation", "inference", "training"},
    {"data", "checkpoints", "parallel"},
    {"models"},
    {"samplers"},
    {"buckets", "cores", "errors"},
)
FORBIDDEN = {"torch", "tensorflow", "pickle"}
MOST_LINES = 400


def part_of(path):
    """Returns the part of fewvid that a module belongs to: its folder, or its name at the top."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py").replace("__init__", "")


def imports(path):
    """Returns the full names of all that a module imports, as (line, name)."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, name.name) for name in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports out in full"
            found += [(node.lineno, f"{node.module}.{name.name}") for name in node.names]
    return found


def layer(part):
    """Returns the number of the layer that a part is in."""
    found = [number for number, parts in enumerate(LAYERS) if part in parts]
    assert found, f"fewvid/{part} has no line in LAYERS: add it where it belongs"
    return found[0]


def target_part(name):
    """Returns the part of fewvid that an import of `name` reaches, None for another package."""
    root, _, rest = name.partition(".")
    if root != "fewvid":
        return None
    part = rest.split(".")[0]
    return part if (PACKAGE / part).is_dir() or (PACKAGE / f"{part}.py").exists() else ""


def test_imports_run_one_way():
    upward = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for path in MODULES
        for line, name in imports(path)
        if (target := target_part(name)) is not None and layer(target) < layer(part_of(path))
    ]
    assert upward == []


def test_forbidden_libraries_and_where_flax_may_be_imported():
    wrong = [
        f"{path.relative_to(REPOSITORY)}:{line} imports {name}"
        for path in MODULES
        for line, name in imports(path)
        if name.split(".")[0] in FORBIDDEN
        or (name.split(".")[0] == "flax" and part_of(path) != "models")
    ]
    assert wrong == []


def test_importing_fewvid_loads_no_jax():
    code = "import fewvid, sys; print('jax' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, timeout=60
    )
    assert result.stdout.strip() == "False", result.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_valid_bash_and_stop_at_the_first_error(script):
    subprocess.run(["bash", "-n", script], check=True)
    assert "\nset -euo pipefail\n" in script.read_text()


def test_no_file_is_too_long():
    files = [
        path
        for folder in ("fewvid", "configs", "tests", "launch")
        for path in (REPOSITORY / folder).rglob("*")
        if path.suffix in {".py", ".sh"}
    ]
    lengths = {str(path.relative_to(REPOSITORY)): path.read_text().count("\n") for path in files}
    assert {name: count for name, count in lengths.items() if count > MOST_LINES} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_commands_in_the_pages_are_there(page):
    blocks = "\n".join(re.findall(r"^```.*?\n(.*?)^```", page.read_text(), re.M | re.S))
    commands = re.findall(r"(?:python3? -m fewvid|^\s*\$?\s*fewvid) ([\w-]+)", blocks, re.M)
    files = re.findall(r"(?<![\w./])((?:launch|configs|tests|\.ci)/[\w./]+)", blocks)
    assert commands + files, "the page shows no command: the patterns above miss them"
    assert [name for name in commands if name not in COMMANDS and not name.startswith("-")] == []
    assert [name for name in files if not (REPOSITORY / name).exists()] == []


@pytest.mark.parametrize("blamed", ["fewvid", "fewvid.models.attention"])
def test_a_deprecation_blamed_on_fewvid_is_an_error(blamed):
    with pytest.raises(DeprecationWarning):
        warnings.warn_explicit("old", DeprecationWarning, "a.py", 1, module=blamed)


def test_a_deprecation_blamed_on_a_library_is_not():
    with warnings.catch_warnings(record=True) as seen:
        warnings.warn_explicit("old", DeprecationWarning, "a.py", 1, module="fewvideo")
    assert [str(warning.message) for warning in seen] == ["old"]
