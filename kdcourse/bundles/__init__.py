"""Folders that go to a phone: `folder` writes one whole or not at all; `text` and `image` with their runners make those of classifiers."""
