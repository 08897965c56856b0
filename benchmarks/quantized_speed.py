"""What does each way to quantize a network cost, and does it run faster? The phone network (79,994 parameters), one example at a time.

    python benchmarks/quantized_speed.py [--runs N]

One run makes every file and measures all of them side by side: bytes, bytes after gzip, memory, time at one thread, accuracy on the 1,000
test images and the share of them that get the float32 file's answer. The files take turns (`measure.compare_files`), and float32 stands
there twice: the second ratio should be 1 and shows what the machine adds. Timings depend on the machine, which here is a desktop or
server processor and no phone: nothing is asserted.
"""

import argparse

from kdcourse import datasets, litert, measure, models, quantization
from kdcourse.runtime import cpu_name, has_dot_product, quiet_start

EXAMPLES = 300  # of the training images, for the ranges of the activations


def files(images) -> dict[str, bytes]:
    """Return {what it is: bytes of the file}, the float32 file first."""
    model = quantization.fold_batch_norms(models.load_trained("mnist-5k-phone"))
    float32 = litert.to_tflite(model)
    found = {"float32": float32, "float32 again": float32}
    for scheme in litert.SCHEMES:
        if scheme != "float32":
            found[f"converter {scheme}"] = litert.to_tflite(model, scheme, images)
    for recipe in litert.RECIPES:
        found[f"quantizer {recipe}"] = litert.quantized(float32, recipe, images)
    found["quantizer static_int8, dense1 in 4 bits"] = litert.quantized(float32, "static_int8", images, bits={"dense1": 4})
    return found


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="of each file that are timed (default: %(default)s)")
    runs = parser.parse_args().runs
    quiet_start()
    data = datasets.load("mnist-5k")
    rows = measure.compare_files(files(data.x_train[:EXAMPLES]), data.x_test, data.y_test, runs)
    print(f"{cpu_name()}, instructions for dot products of 8 bits: {has_dot_product()}, 1 thread, {runs:,} runs of each file")
    print(measure.file_table(rows))


if __name__ == "__main__":
    main()
