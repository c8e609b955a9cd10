"""The command line: help, one line for a mistake, exit codes."""

import errno
import subprocess
import sys
import types

import pytest

import fewvid
from fewvid.__main__ import COMMANDS, main
from fewvid.errors import UserError


@pytest.fixture
def fake(monkeypatch):
    """A function that puts a command `fake` in the table whose run() is the given one."""

    def put(run):
        module = types.ModuleType("fake_command", "Does what a test wants.")
        module.add_arguments = lambda parser: parser.add_argument("--keep", type=int)
        module.run = run
        monkeypatch.setitem(sys.modules, "fake_command", module)
        monkeypatch.setitem(COMMANDS, "fake", ("fake_command", "does what a test wants"))

    return put


def raising(error):
    """Returns a run() that raises `error`."""

    def run(args):
        raise error

    return run


def one_line_of(capsys):
    """Returns stderr without its line end, having checked that it is one error line."""
    text = capsys.readouterr().err
    assert text.startswith("fewvid: error: ")
    assert text.count("\n") == 1
    return text.strip()


def python(code, **kwargs):
    """Runs `code` in a new interpreter."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, **kwargs
    )


def test_run_gets_the_parsed_arguments_and_gives_the_exit_code(fake):
    fake(lambda args: args.keep)
    assert main(["fake", "--keep", "7"]) == 7


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_every_command(name, capsys):
    with pytest.raises(SystemExit) as stop:
        main([name, "--help"])
    assert stop.value.code == 0
    assert f"fewvid {name}" in capsys.readouterr().out


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    listing = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n  {name} " not in listing] == []


def test_help_of_every_command_loads_no_heavy_library():
    result = python(
        "import sys\n"
        "from fewvid.__main__ import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    try: main([name, '--help'])\n"
        "    except SystemExit: pass\n"
        "heavy = {'jax', 'flax', 'transformers', 'cv2', 'av', 'grain', 'orbax', 'matplotlib'}\n"
        "print('loaded:', sorted(heavy & set(sys.modules)))"
    )
    assert result.stdout.splitlines()[-1:] == ["loaded: []"], result.stderr


def test_no_command_prints_the_help(capsys):
    assert main([]) == 2
    assert "commands:" in capsys.readouterr().err


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fewvid {fewvid.__version__}\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["trian"], "Did you mean 'train'?"),
        (["--verison"], "Did you mean '--version'?"),
        (["fake", "--kepe=3"], "Did you mean '--keep'?"),
        (["fake", "--keep", "many"], "invalid int value: 'many'"),
        (["fake", "--ke", "3"], "unrecognized arguments: --ke"),
    ],
)
def test_a_wrong_word_is_one_line_that_helps(fake, capsys, argv, words):
    fake(lambda args: 0)
    assert main(argv) == 2
    assert words in one_line_of(capsys)


def test_user_error_is_one_line_and_exit_code_2(fake, capsys):
    fake(raising(UserError("got 'a.mp3',\nwanted a video")))
    assert main(["fake"]) == 2
    assert one_line_of(capsys) == "fewvid: error: got 'a.mp3', wanted a video"


@pytest.mark.parametrize(
    "code", ["ENOSPC", "ENOENT", "EEXIST", "ENOTDIR", "EISDIR", "ENAMETOOLONG"]
)
def test_what_the_disk_refuses_is_one_line(fake, capsys, code):
    fake(raising(OSError(getattr(errno, code), "Refused", "out.png")))
    assert main(["fake"]) == 2
    assert one_line_of(capsys) == "fewvid: error: Refused: out.png"


@pytest.mark.parametrize("error", [ZeroDivisionError("ours"), OSError(errno.EIO, "ours")])
def test_a_fault_of_fewvid_keeps_its_traceback(fake, error):
    fake(raising(error))
    with pytest.raises(type(error), match="ours"):
        main(["fake"])


def test_interrupt_is_quiet(fake, capsys):
    fake(raising(KeyboardInterrupt()))
    assert main(["fake"]) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_goes_away_is_quiet():
    code = "import sys; from fewvid.__main__ import main; sys.exit(main(['--version']))"
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()  # before the interpreter has got to its first word
    error = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), error) == (141, b"")
