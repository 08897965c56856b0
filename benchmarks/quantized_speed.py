"""What does each way to quantize a network cost, and does it run faster? The phone network (79,994 parameters), one example at a time.

    python benchmarks/quantized_speed.py [--runs N] [--record]

With --record the times join those of other processors in data/times/. One run makes every file and measures all of them side by side:
bytes, bytes after gzip, memory, time at one thread, accuracy on the 1,000 test images and the share of them that get the float32 file's
answer. The files take turns (`measure.compare_files`), and float32 stands there twice: the second ratio should be 1 and shows what the
machine adds. Timings depend on the machine, which here is a desktop or server processor and no phone: nothing is asserted.
"""

import argparse
import json

from kdcourse import datasets, litert, measure, models, quantization
from kdcourse.files import data_path, written_whole
from kdcourse.runtime import cpu_name, has_dot_product, provenance, quiet_start

NAME = "mnist-5k-phone"
EXAMPLES = 300  # of the training images, for the ranges of the activations


def files(images) -> dict[str, bytes]:
    """Return {what it is: bytes of the file}, the float32 file first."""
    model = quantization.fold_batch_norms(models.load_trained(NAME))
    float32 = litert.to_tflite(model)
    found = {"float32": float32, "float32 again": float32}
    for scheme in litert.SCHEMES:
        if scheme != "float32":
            found[f"converter {scheme}"] = litert.to_tflite(model, scheme, images)
    for recipe in litert.RECIPES:
        found[f"quantizer {recipe}"] = litert.quantized(float32, recipe, images)
    found["quantizer static_int8, dense1 in 4 bits"] = litert.quantized(float32, "static_int8", images, bits={"dense1": 4})
    return found


def parts(images, runs: int) -> dict[str, dict[str, float]]:
    """Return microseconds of the network's two parts, cut behind the first pooling: {"first", "rest": {"float32", "int8"}}."""
    import keras

    model = quantization.fold_batch_norms(models.load_trained(NAME))
    middle = model.get_layer("pool1").output
    first, rest = keras.Model(model.inputs[0], middle), keras.Model(middle, model.outputs[0])
    given = {"first": (first, images), "rest": (rest, first.predict(images, verbose=0))}
    return {
        name: {kind: round(1e6 * measure.latency(litert.to_tflite(part, kind, x), runs=runs).median, 1) for kind in ("float32", "int8")}
        for name, (part, x) in given.items()
    }


def record(times: dict) -> None:
    """Write the times of this processor beside those of the others."""
    path = data_path("times", f"{NAME}.json")
    known = json.loads(path.read_text("utf-8"))
    known["processors"][cpu_name()] = times
    with written_whole(path) as part:
        part.write_text(f"{json.dumps(known, indent=1)}\n", "utf-8")


def main() -> None:
    """Measure, print the table and the parts and, if asked, record them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="of each file that are timed (default: %(default)s)")
    parser.add_argument("--record", action="store_true", help="write the times into data/times/")
    given = parser.parse_args()
    quiet_start()
    data = datasets.load("mnist-5k")
    images = data.x_train[:EXAMPLES]
    rows = measure.compare_files(files(images), data.x_test, data.y_test, given.runs)
    print(f"{cpu_name()}, instructions for dot products of 8 bits: {has_dot_product()}, 1 thread, {given.runs:,} runs of each file")
    print(measure.file_table(rows))
    of_parts = parts(images, given.runs)
    for name, times in of_parts.items():
        print(f"{name}: float32 {times['float32']} us, int8 {times['int8']} us")
    if given.record:
        of_files = {row.name: round(1e6 * row.median, 1) for row in rows if row.name != "float32 again"}
        where = {"date": provenance(())["date"], "dot_product": has_dot_product(), "runs": given.runs}
        record(where | {"files": of_files, "parts": of_parts})


if __name__ == "__main__":
    main()
