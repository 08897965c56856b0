"""Does a network with zeros in it run faster? LiteRT on LeNet-5 (431,080 parameters), one thread, one example at a time.

    python benchmarks/sparse_speed.py [--rounds N]

Two .tflite files at each sparsity, from the trained weights that ship with the course, each kernel pruned by magnitude:

- dense: what a converter writes unless it is told otherwise. A zero is stored and multiplied like every other number.
- sparse: the converter's option EXPERIMENTAL_SPARSITY. A kernel with enough zeros is stored as positions and values. Whether LiteRT
  then computes with them (XNNPACK has kernels for that, for few shapes) or unpacks them first, the times show.

The files take turns within each round, in another order each time, so that whatever else the machine does falls on all of them; each
round gives one ratio to the dense file without zeros. That file is measured twice: the second ratio should be 1, and shows what the
machine adds. In the table, "low" and "high" are the 5% and 95% quantiles of the ratios. Timings depend on the machine, which here is a
desktop or server processor and no phone: nothing is asserted.
"""

import argparse
import gzip
import tempfile

import numpy as np

from kdcourse import encodings, litert, measure, models, pruning
from kdcourse.runtime import cpu_name, quiet_start

SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95)


def sparse_tflite(model) -> bytes:
    """Return the bytes of a .tflite file in which kernels with many zeros are stored as positions and values."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        return converter.convert()


def files() -> dict[str, bytes]:
    """Return {what it is: the bytes of the file}; dense and sparse files of one network are seen to answer alike."""
    model, found = models.load_trained("mnist-5k-lenet5"), {}
    images = np.random.default_rng(0).random((20, 28, 28, 1), np.float32)
    for sparsity in SPARSITIES:
        pruned = pruning.with_masks(model, pruning.magnitude_masks(pruning.prunable(model), sparsity))
        found[f"dense  {sparsity:4.0%} zeros"] = dense = litert.to_tflite(pruned)
        if sparsity == 0:
            found["the same again"] = dense
        else:
            found[f"sparse {sparsity:4.0%} zeros"] = sparse = sparse_tflite(pruned)
            np.testing.assert_allclose(litert.predict(sparse, images), litert.predict(dense, images), rtol=0, atol=1e-4)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    quiet_start()
    found, order = files(), np.random.default_rng(0)
    runs = {}
    for name, tflite in found.items():
        interpreter = litert.interpreter(tflite)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], litert.random_input(interpreter))
        runs[name] = interpreter.invoke
    names, times = list(found), {name: [] for name in found}
    for _ in range(rounds):
        for place in order.permutation(len(names)):
            times[names[place]].append(measure.latency(runs[names[place]], warmup=5, runs=50).median)

    print(f"LeNet-5, LiteRT, 1 thread, batch of 1, {rounds} rounds of 50 runs; {cpu_name()}, a desktop or server processor")
    print(f"{'file':20}{'bytes':>12}{'gzip':>12}{'median us':>12}{'ratio':>8}{'low':>7}{'high':>7}")
    base = np.array(times[names[0]])
    for name, tflite in found.items():
        mine = np.array(times[name])
        low, middle, high = np.quantile(mine / base, (0.05, 0.5, 0.95))
        zipped = len(gzip.compress(tflite, encodings.GZIP_LEVEL, mtime=0))
        print(f"{name:20}{len(tflite):>12,}{zipped:>12,}{np.median(mine) * 1e6:>12.1f}{middle:>8.2f}{low:>7.2f}{high:>7.2f}")


if __name__ == "__main__":
    main()
