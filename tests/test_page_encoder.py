"""The transformer that chapter 07 writes out is the package's."""

import numpy as np
import pytest
from chapters import read

from kdcourse import minilm, runtime


@pytest.mark.slow
def test_the_encoder_on_the_page_is_the_packages():
    runtime.quiet_start()
    cells = [cell.source for cell in read("07_case_text_classification") if cell.cell_type == "code"]
    page = {"np": np, "runtime": runtime, "minilm": minilm, "w": minilm.weights()}
    for start in ("runtime.quiet_start()\nfrom keras import Input", "def attention("):
        (source,) = (source for source in cells if source.startswith(start))
        exec(source, page)
    pieces = minilm.wordpieces(["The shuttle will fly again in spring.", "", "word " * 300])
    gap = np.abs(np.asarray(page["encoder"](pieces)) - np.asarray(minilm.encoder()(pieces))).max()
    assert gap < 1e-5
