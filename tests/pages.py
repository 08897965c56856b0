"""Pieces of planted pages, for the tests of the rules of notebooks: an edit is a function that changes a notebook."""

from nbformat.v4 import new_code_cell, new_output


def named(value):
    """Return what a test calls a rule or an edit."""
    return getattr(value, "__name__", None)


def tagged(source, *names, **more):
    """Return a code cell with tags."""
    return new_code_cell(source, metadata={"tags": list(names)}, **more)


def add(cell):
    """Return an edit: a cell at the end."""
    return lambda nb: nb.cells.append(cell)


def printed(**output):
    """Return an edit: a cell with an output."""
    return add(new_code_cell("x", outputs=[new_output(**output)]))


def swap(old, new):
    """Return an edit of all sources; it must change something."""

    def edit(nb):
        assert any(old in cell.source for cell in nb.cells), old
        for cell in nb.cells:
            cell.source = cell.source.replace(old, new)

    return edit
