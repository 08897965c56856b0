"""Archives: found, checked, fetched whole or not at all. The real pip runs here, but only on small wheels of the test's own."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from kdcourse import archives, doctor

FILE = "kdcourse_tiny-1.0-py3-none-any.whl"


def make_wheel(folder, text="one\n"):
    """Write a wheel that pip accepts; return what the registry says of it."""
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / FILE, "w") as wheel:
        wheel.writestr("kdcourse_tiny/words.txt", text)
        wheel.writestr("kdcourse_tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: kdcourse-tiny\nVersion: 1.0\n")
        wheel.writestr("kdcourse_tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("kdcourse_tiny-1.0.dist-info/RECORD", "")
    content = (folder / FILE).read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return {"requirement": "kdcourse-tiny==1.0", "file": FILE, "bytes": len(content), "sha256": sha256, "holds": "words"}


@pytest.fixture
def places(monkeypatch, tmp_path):
    """An empty cache, a folder for the reader's own files, and a package index that is a folder and holds kdcourse-tiny 1.0."""
    entry = make_wheel(tmp_path / "index")
    monkeypatch.setattr(archives, "registry", lambda: {"tiny": entry})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KDCOURSE_DATA", raising=False)
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    (tmp_path / "own").mkdir()
    return tmp_path


@pytest.fixture
def no_pip_run(monkeypatch):
    """A download is a mistake here."""

    def refuse(requirement, part):
        raise AssertionError(f"{requirement} must not be downloaded")

    monkeypatch.setattr(archives, "_command", refuse)


def replace_pip(monkeypatch, code):
    """Let ``python -c code`` run in place of pip; ``sys.argv[1]`` is the temporary folder."""
    monkeypatch.setattr(archives, "_command", lambda requirement, part: [sys.executable, "-c", code, part])


def everything_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_a_missing_archive_is_fetched_into_the_cache_and_then_found_there(places, monkeypatch, capfd):
    assert archives.find("tiny") is None
    path = archives.archive("tiny")
    assert path == places / "cache" / "kdcourse" / FILE == archives.find("tiny")
    assert path.read_bytes() == (places / "index" / FILE).read_bytes()
    assert everything_in(path.parent) == [FILE]
    shown = capfd.readouterr()
    assert shown.err == ""  # a notebook would show it in red
    assert shown.out == "fetching tiny: 0 MB from the package index\n"
    shutil.rmtree(places / "index")
    assert archives.archive("tiny") == path  # no second download
    assert capfd.readouterr().out == ""


def test_verbose_0_is_silent(places, capfd):
    archives.archive("tiny", verbose=0)
    assert capfd.readouterr() == ("", "")


def test_the_readers_folder_comes_first_and_the_cache_serves_what_is_not_there(places, monkeypatch, no_pip_run):
    cached = places / "cache" / "kdcourse" / FILE
    cached.parent.mkdir(parents=True)
    shutil.copy(places / "index" / FILE, cached)
    monkeypatch.setenv("KDCOURSE_DATA", str(places / "own"))
    assert archives.archive("tiny") == cached
    own = places / "own" / FILE
    shutil.copy(cached, own)
    assert archives.archive("tiny") == own
    monkeypatch.delenv("KDCOURSE_DATA")
    assert archives.archive("tiny") == cached


def test_a_download_goes_to_the_cache_although_the_reader_has_a_folder(places, monkeypatch):
    monkeypatch.setenv("KDCOURSE_DATA", str(places / "own"))
    assert archives.archive("tiny", verbose=0).parent == places / "cache" / "kdcourse"
    assert everything_in(places / "own") == []


@pytest.mark.parametrize("name", ["tinny", None, ["tiny"]])
@pytest.mark.parametrize("function", [archives.find, archives.archive, lambda name: archives.read(name, "a")])
def test_an_unknown_name_names_the_known_ones(places, no_pip_run, function, name):
    with pytest.raises(ValueError, match="name must be one of tiny, got "):
        function(name)


def test_a_wrong_folder_of_the_reader_is_refused(places, monkeypatch, no_pip_run):
    monkeypatch.setenv("KDCOURSE_DATA", str(places / "nowhere"))
    with pytest.raises(ValueError, match="KDCOURSE_DATA must name a folder, got .*nowhere"):
        archives.archive("tiny")


def test_a_wrong_file_is_refused_and_stays_and_the_right_one_in_its_place_is_taken(places, monkeypatch, no_pip_run):
    monkeypatch.setenv("KDCOURSE_DATA", str(places / "own"))
    own = places / "own" / FILE
    own.write_bytes(b"half a whe")
    with pytest.raises(ValueError, match=rf"{FILE} must be the registered tiny \(sha256 .*\), got .*; delete it and try again$"):
        archives.archive("tiny")
    assert own.read_bytes() == b"half a whe"
    shutil.copy(places / "index" / FILE, own)
    assert archives.archive("tiny") == own


def test_a_file_that_changes_is_noticed_even_where_its_time_and_size_do_not(places):
    path = archives.archive("tiny", verbose=0)
    content, changed = bytearray(path.read_bytes()), path.stat().st_mtime_ns
    content[50] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(0, changed))
    with pytest.raises(ValueError, match="must be the registered tiny"):
        archives.archive("tiny")


def test_a_download_with_a_wrong_hash_leaves_nothing_behind(places):
    make_wheel(places / "index", text="two\n")  # no longer what is registered
    with pytest.raises(ValueError, match=r"the download of kdcourse-tiny==1.0 must be the registered tiny \(sha256 .*KDCOURSE_DATA"):
        archives.archive("tiny")
    assert everything_in(places / "cache") == ["kdcourse"]


def test_an_interrupted_download_leaves_nothing_behind_not_even_its_process(places):
    """A process of its own is interrupted as a reader does it, while half a file is there."""
    code = f"""if True:
        import pathlib, signal, sys
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what runs in its background ignore it
        from kdcourse import archives
        archives.registry = lambda: {{"tiny": {archives.registry()["tiny"]!r}}}
        pip = "import os, pathlib, sys, time; here = pathlib.Path(sys.argv[1]); (here / {FILE!r}).write_bytes(bytes(99));"
        pip += "pathlib.Path({str(places / "pid")!r}).write_text(str(os.getpid())); time.sleep(600)"
        archives._command = lambda requirement, part: [sys.executable, "-c", pip, part]
        archives.archive("tiny")
    """
    parent, pid = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE), places / "pid"
    while not (pid.is_file() and pid.read_text()):
        assert parent.poll() is None, parent.stderr.read()
        time.sleep(0.05)
    seen = everything_in(places / "cache" / "kdcourse")
    assert any(path.endswith(f"/{FILE}") for path in seen) and FILE not in seen  # half a file, under another name
    parent.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in parent.communicate(timeout=60)[1]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
    assert everything_in(places / "cache") == ["kdcourse"]


def test_no_such_version_is_one_clear_sentence_and_leaves_nothing(places, capfd):
    (places / "index" / FILE).unlink()
    with pytest.raises(ConnectionError) as caught:
        archives.archive("tiny", verbose=0)
    said = "pip said: ERROR: No matching distribution found for kdcourse-tiny==1.0"
    todo = f"connect to a network and try again, or put the file {FILE} into a folder that KDCOURSE_DATA names"
    assert str(caught.value) == f"kdcourse-tiny==1.0 could not be downloaded ({said}); {todo}"
    assert everything_in(places / "cache") == ["kdcourse"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("print('WARNING: retrying'); print('ERROR: no route to host\\n\\n'); exit(1)", "said: ERROR: no route to host.; connect to a net"),
        ("exit(7)", "said: nothing, and ended with code 7.; connect to a network"),
        (
            "exit('OSError: [Errno 28] No space left on device\\nlast line')",
            "last line.; make room for 0 MB in .*kdcourse, or put the file",
        ),
        ("import sys; open(sys.argv[1] + '/b-2.whl', 'w')", rf"must come as the file {FILE}, got \['b-2.whl'\] from pip; put the file"),
    ],
)
def test_what_else_pip_can_say(places, monkeypatch, code, message):
    replace_pip(monkeypatch, code)
    with pytest.raises(ConnectionError, match=message):
        archives.archive("tiny", verbose=0)
    assert everything_in(places / "cache") == ["kdcourse"]


def test_without_pip_the_sentence_says_how_to_get_it(places, monkeypatch):
    monkeypatch.setattr(archives.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        ConnectionError, match=rf"kdcourse-tiny==1.0 could not .* no pip; run .* -m ensurepip and try again, or put the file {FILE}"
    ):
        archives.archive("tiny")
    assert not (places / "cache").exists()


def test_a_cache_that_cannot_be_written_is_refused(places, monkeypatch, no_pip_run):
    (places / "cache").write_text("a file where the folder should be")
    with pytest.raises(ValueError, match=r"cache/kdcourse must be a folder that can be written \(.*\); change that, or put the file"):
        archives.archive("tiny")
    (places / "cache").unlink()

    def read_only(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(archives.tempfile, "TemporaryDirectory", read_only)  # root may write everywhere
    with pytest.raises(ValueError, match=r"must be a folder that can be written \(.*Permission denied\)"):
        archives.archive("tiny")


def test_pip_keeps_to_the_temporary_folder_and_to_its_own_modules(places, monkeypatch):
    reader = places / "reader"
    reader.mkdir()
    (reader / "pip.py").write_text("raise SystemExit('a file of the reader')")
    monkeypatch.chdir(reader)
    assert archives.archive("tiny", verbose=0).is_file()  # the real pip, not the reader's file
    (places / "cache" / "kdcourse" / FILE).unlink()
    replace_pip(monkeypatch, "import os, sys, tempfile; print(tempfile.gettempdir() == sys.argv[1], sys.stdin.read() == ''); exit(1)")
    with pytest.raises(ConnectionError, match="pip said: True True"):
        archives.archive("tiny", verbose=0)


def test_the_command_wants_this_wheel_and_nothing_else(tmp_path):
    command = archives._command("kdcourse-tiny==1.0", str(tmp_path))
    assert command[:4] == [sys.executable, "-m", "pip", "download"] and command[-1] == "kdcourse-tiny==1.0"
    assert {"--no-deps", "--no-cache-dir", "--only-binary"} < set(command)


def test_what_a_killed_download_left_is_removed_but_not_what_is_still_at_work(places):
    cache = places / "cache" / "kdcourse"
    old, young, another = (cache / name for name in (".download-old", ".download-young", "embeddings"))
    for folder in (old, young, another):
        folder.mkdir(parents=True)
        (folder / "half.whl").touch()
    for folder in (old, another):
        os.utime(folder, (0, time.time() - 2 * 24 * 3600))
    archives.archive("tiny", verbose=0)
    assert not old.exists() and (young / "half.whl").is_file() and (another / "half.whl").is_file()


def test_read_returns_a_member_or_says_what_is_wrong(places, monkeypatch, no_pip_run):
    cached = places / "cache" / "kdcourse" / FILE
    cached.parent.mkdir(parents=True)
    shutil.copy(places / "index" / FILE, cached)
    assert archives.read("tiny", "kdcourse_tiny/words.txt") == b"one\n"
    with pytest.raises(ValueError, match=rf"{FILE} must hold the file 'words.csv', got an archive without it"):
        archives.read("tiny", "words.csv")
    cached.write_bytes(b"no zip")
    entry = {**archives.registry()["tiny"], "sha256": hashlib.sha256(b"no zip").hexdigest()}
    monkeypatch.setattr(archives, "registry", lambda: {"tiny": entry})
    with pytest.raises(ValueError, match=rf"{FILE} must be a whole zip file, got one that cannot be read \(BadZipFile: .*; delete it"):
        archives.read("tiny", "kdcourse_tiny/words.txt")


def test_a_damaged_member_is_one_sentence(places, monkeypatch):
    cached = archives.archive("tiny", verbose=0)
    content = cached.read_bytes().replace(b"one\n", b"two\n")  # its checksum inside the zip no longer fits
    cached.write_bytes(content)
    entry = {**archives.registry()["tiny"], "sha256": hashlib.sha256(content).hexdigest()}
    monkeypatch.setattr(archives, "registry", lambda: {"tiny": entry})
    with pytest.raises(ValueError, match="must be a whole zip file, got one that cannot be read .*Bad CRC-32"):
        archives.read("tiny", "kdcourse_tiny/words.txt")


def test_the_registry_names_each_archive_whole():
    for name, entry in archives.registry().items():
        assert set(entry) - {"fetched"} == {"requirement", "file", "bytes", "sha256", "holds", "licence"}
        package, _, version = entry["requirement"].partition("==")
        assert package == name and entry["file"] == f"{name.replace('-', '_')}-{version}-py3-none-any.whl"
        assert len(bytes.fromhex(entry["sha256"])) == 32 and entry["bytes"] > 1_000_000


def test_the_doctor_names_a_missing_archive_with_the_command_that_gets_it(places, monkeypatch):
    monkeypatch.setattr(doctor.datasets, "registry", dict)
    lines, missing = doctor.report()
    assert "archive tiny                   not here yet: words" in lines
    (line,) = (line for line in missing if line.startswith("tiny "))
    assert "; chapter 07 fetches it when it is run) is not here yet" in line
    archives.registry()["tiny"]["fetched"] = "nobody fetches it"
    assert any("tiny (0 MB; nobody fetches it) is not here yet" in line for line in doctor.report()[1])
    code = line.split('python -c "')[1].removesuffix('"')
    assert code == "from kdcourse import archives; archives.archive('tiny')"
    exec(code)
    lines, missing = doctor.report()
    assert f"archive tiny                   {archives.find('tiny')}: words" in lines
    assert not any(line.startswith("tiny ") for line in missing)
