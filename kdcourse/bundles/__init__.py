"""Folders that go to a phone: `folder` writes one whole or not at all, `text` and its runner `classify_text` make one that reads texts."""
