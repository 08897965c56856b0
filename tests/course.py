"""A course of one lesson in a folder of its own, for the tests of the tools."""


def made(folder, lesson: str):
    """Write it into `folder`, and return that; nothing is built or recorded yet."""
    for part in ("lessons", "data/experiments"):
        (folder / part).mkdir(parents=True)
    (folder / "pyproject.toml").write_text('[project.urls]\nRepository = "https://github.com/some-body/some.course"\n')
    (folder / "lessons" / "01_tiny.py").write_text(lesson)
    return folder


def edit(path, old: str, new: str) -> None:
    """Replace a text in a file, which must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
