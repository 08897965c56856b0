"""Does a pruned network run faster? LiteRT on LeNet-5 (431,080 parameters), one thread, one example at a time.

    python benchmarks/pruned_speed.py [--rounds N]

With zeros: two .tflite files at each sparsity, from the trained weights that ship with the course, each kernel pruned by magnitude:

- dense: what a converter writes unless it is told otherwise. A zero is stored and multiplied like every other number.
- sparse: the converter's option EXPERIMENTAL_SPARSITY. A kernel with enough zeros is stored as positions and values. Whether LiteRT
  then computes with them (XNNPACK has kernels for that, for few shapes) or unpacks them first, the times show.

Without filters: half and three quarters of the filters of each layer are removed. What accuracy they keep after fine-tuning is in the
record of the experiment "filters"; the time does not depend on the values of the weights.

The files take turns within each round, in another order each time, so that whatever else the machine does falls on all of them; each
round gives one ratio to the dense file without zeros. That file is measured twice: the second ratio should be 1, and shows what the
machine adds. In the table, "low" and "high" are the 5% and 95% quantiles of the ratios. Timings depend on the machine, which here is a
desktop or server processor and no phone: nothing is asserted.
"""

import argparse
import gzip
import tempfile

import numpy as np

from kdcourse import formats, litert, measure, models, pruning
from kdcourse.runtime import cpu_name, quiet_start

SPARSITIES = (0.0, 0.5, 0.8, 0.9, 0.95)
SHARES = (0.5, 0.75)  # of the filters that are removed


def sparse_tflite(model) -> bytes:
    """Return the bytes of a .tflite file in which kernels with many zeros are stored as positions and values."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.EXPERIMENTAL_SPARSITY]
        return converter.convert()


def files() -> dict[str, tuple[bytes, int]]:
    """Return {what it is: (bytes of the file, MACs)}; dense and sparse files of one network are seen to answer alike."""
    model, found = models.load_trained("mnist-5k-lenet5"), {}
    images = np.random.default_rng(0).random((20, 28, 28, 1), np.float32)
    for sparsity in SPARSITIES:
        pruned = pruning.with_masks(model, pruning.magnitude_masks(pruning.prunable(model), sparsity))
        dense, macs = litert.to_tflite(pruned), measure.macs(pruned)
        found[f"dense  {sparsity:4.0%} zeros"] = dense, macs
        if sparsity == 0:
            found["the same again"] = dense, macs
        else:
            sparse = sparse_tflite(pruned)
            found[f"sparse {sparsity:4.0%} zeros"] = sparse, macs
            np.testing.assert_allclose(litert.predict(sparse, images), litert.predict(dense, images), rtol=0, atol=1e-4)
    for share in SHARES:
        smaller = pruning.without_filters(model, pruning.choose_filters(model, share))
        found[f"{share:.0%} of filters gone"] = litert.to_tflite(smaller), measure.macs(smaller)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    rounds = parser.parse_args().rounds
    quiet_start()
    found, order = files(), np.random.default_rng(0)
    runs = {}
    for name, (tflite, _) in found.items():
        interpreter = litert.interpreter(tflite)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], litert.random_input(interpreter))
        runs[name] = interpreter.invoke
    names, times = list(found), {name: [] for name in found}
    for _ in range(rounds):
        for place in order.permutation(len(names)):
            times[names[place]].append(measure.latency(runs[names[place]], warmup=5, runs=50).median)

    print(f"LeNet-5, LiteRT, 1 thread, batch of 1, {rounds} rounds of 50 runs; {cpu_name()}, a desktop or server processor")
    print(f"{'file':22}{'bytes':>11}{'gzip':>11}{'MACs':>11}{'median us':>11}{'time/dense':>11}{'low':>6}{'high':>6}")
    base = np.array(times[names[0]])
    for name, (tflite, macs) in found.items():
        mine = np.array(times[name])
        low, middle, high = np.quantile(mine / base, (0.05, 0.5, 0.95))
        zipped = len(gzip.compress(tflite, formats.GZIP_LEVEL, mtime=0))
        told = f"{np.median(mine) * 1e6:>11.1f}{middle:>11.2f}{low:>6.2f}{high:>6.2f}"
        print(f"{name:22}{len(tflite):>11,}{zipped:>11,}{macs:>11,}{told}")


if __name__ == "__main__":
    main()
