"""What distillation costs: CPU time of an epoch, as a multiple of training the same student without a teacher.

    python benchmarks/distillation.py [--rounds N] [--pair demo|mlp|cnn ...]

Four ways to train one student on the 3,000 training images of mnist-5k:

- plain student: on the labels alone. No distillation can be cheaper. It is measured twice: the second ratio should be 1, and shows what
  the machine adds.
- kept logits: kdcourse's way. The teacher is asked once, its logits are packed beside the labels, `fit` does the rest.
- textbook loop: a `train_step` of its own that asks the teacher in every step.
- Distiller: `keras.distillation.Distiller` with `LogitsDistillation`, where the installed Keras has it.

All have the same batches, optimizer, initial weights and steps per execution; the teachers are untrained, since what they know costs
nothing. The ways take turns in short slices within each round, so that whatever else the machine does falls on all of them; each round
gives one ratio. CPU time is that of all threads of this process. Timings depend on the machine: nothing is asserted here. Aims: kept
logits at most 1.05 of plain; on the pair "demo" textbook loop and Distiller at least 10 times kept logits.
"""

import argparse
import gc
import math
import time

import numpy as np

from kdcourse import answers, datasets, losses, models
from kdcourse.runtime import quiet_start

BATCH, STEPS_PER_EXECUTION, ALPHA, TEMPERATURE = 60, 10, 0.9, 4.0  # 3,000 images are 50 batches
SLICES = 8  # of a round
PLAIN, AGAIN, KEPT, TEXTBOOK, DISTILLER = "plain student", "plain student again", "kept logits", "textbook loop", "Distiller"


def demo(filters: int, name: str):
    """Return a network of the keras.io example on distillation: 1,433,610 parameters with 256 filters, 20,490 with 16."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(filters, 3, strides=2, padding="same"),
            layers.LeakyReLU(negative_slope=0.2),
            layers.MaxPooling2D(2, strides=1, padding="same"),
            layers.Conv2D(2 * filters, 3, strides=2, padding="same"),
            layers.Flatten(),
            layers.Dense(10),
        ],
        name=name,
    )


PAIRS = {
    "demo": (lambda: demo(256, "teacher"), lambda: demo(16, "student")),
    "mlp": (models.teacher_cnn, lambda: models.student_mlp(32)),
    "cnn": (models.teacher_cnn, models.student_cnn),
}


def textbook(teacher, student):
    """Return the model of the textbook: its train_step asks the teacher and adds the two losses."""
    import keras
    import tensorflow as tf

    class Textbook(keras.Model):
        def __init__(self):
            super().__init__()
            self.teacher, self.student = teacher, student
            teacher.trainable = False

        def call(self, x, training=False):
            return self.student(x, training=training)

        def train_step(self, data):
            x, y = data
            v = self.teacher(x, training=False)
            with tf.GradientTape() as tape:
                z = self.student(x, training=True)
                hard = keras.losses.categorical_crossentropy(y, z, from_logits=True)
                soft = keras.losses.kl_divergence(keras.ops.softmax(v / TEMPERATURE), keras.ops.softmax(z / TEMPERATURE))
                loss = tf.reduce_mean((1 - ALPHA) * hard + ALPHA * TEMPERATURE**2 * soft)
            weights = self.student.trainable_variables
            self.optimizer.apply(tape.gradient(loss, weights), weights)
            return {"loss": loss}

    return Textbook()


def ways(build_teacher, build_student, x, y) -> tuple[dict, float]:
    """Return {way: a function that trains for so many epochs}, and the CPU seconds of asking the teacher once."""
    import keras
    import tensorflow as tf

    teacher = build_teacher()
    answers.outputs(teacher, x[:500], verbose=0)  # the first call of a model is slower
    began = time.process_time()
    said = answers.outputs(teacher, x, verbose=0)["logits"]
    once = time.process_time() - began
    packed = losses.pack(y, said)
    labels = np.ascontiguousarray(losses.unpack(packed)[0])
    crossentropy = keras.losses.CategoricalCrossentropy(from_logits=True)

    def fresh():
        keras.utils.set_random_seed(0)
        return build_student()

    def way(model, targets, loss):
        batches = tf.data.Dataset.from_tensor_slices((x, targets)).shuffle(len(x), seed=0).batch(BATCH, drop_remainder=True).prefetch(4)
        model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, steps_per_execution=STEPS_PER_EXECUTION)
        return lambda epochs: model.fit(batches, epochs=epochs, shuffle=False, verbose=0)

    found = {
        PLAIN: way(fresh(), labels, crossentropy),
        AGAIN: way(fresh(), labels, crossentropy),
        KEPT: way(fresh(), packed, losses.distillation_loss(alpha=ALPHA, temperature=TEMPERATURE)),
        TEXTBOOK: way(textbook(teacher, fresh()), labels, None),
    }
    if hasattr(keras, "distillation"):
        # the object: the default, a string, is compared without softmax
        soft = keras.distillation.LogitsDistillation(temperature=TEMPERATURE, loss=keras.losses.KLDivergence())
        found[DISTILLER] = way(keras.distillation.Distiller(teacher, fresh(), soft, student_loss_weight=1 - ALPHA), labels, crossentropy)
    return found, once


def measure(found: dict, rounds: int) -> dict[str, np.ndarray]:
    """Return the CPU seconds of an epoch, {way: one number for each round}; the ways take turns."""

    def timed(train, epochs):
        gc.collect()
        began = time.process_time()
        train(epochs)
        return time.process_time() - began

    for train in found.values():
        train(1)  # builds the graph
    epochs = {name: min(40, math.ceil(2 / timed(train, 1))) for name, train in found.items()}  # about 2 seconds a round
    seconds, names = {name: np.zeros(rounds) for name in found}, list(found)
    for turn in range(rounds * SLICES):
        part, first = turn % SLICES, turn % len(names)
        for name in names[first:] + names[:first]:
            share = epochs[name] * (part + 1) // SLICES - epochs[name] * part // SLICES
            if share:
                seconds[name][turn // SLICES] += timed(found[name], share) / epochs[name]
    return seconds


def report(pair: str, rounds: int, x, y) -> None:
    """Measure a pair and print its table."""
    build_teacher, build_student = PAIRS[pair]
    sizes = [build().count_params() for build in (build_teacher, build_student)]
    found, once = ways(build_teacher, build_student, x, y)
    seconds = measure(found, rounds)
    print(f"\n{pair}: teacher {sizes[0]:,} parameters, student {sizes[1]:,}")
    print(f"{'CPU time of an epoch':22}{'seconds':>9}{'/ plain':>9}  {'lowest to highest':20}{'/ kept logits':>14}")
    for name, times in seconds.items():
        ratio, ours = times / seconds[PLAIN], np.median(times / seconds[KEPT])
        print(f"{name:22}{np.median(times):9.3f}{np.median(ratio):9.3f}  {f'{ratio.min():.3f} to {ratio.max():.3f}':20}{ours:14.2f}")
    if DISTILLER not in seconds:
        print("This Keras has no keras.distillation (it came with 3.12).")
    saved = np.median(seconds[TEXTBOOK] - seconds[KEPT])
    back = f"paid back after {once / saved:.2f} epochs of the textbook loop's extra cost" if saved > 0 else "not paid back"
    print(f"asking the teacher once: {once:.2f} s of CPU time, {back}", flush=True)


def main() -> None:
    """Print a table for each pair."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pair", nargs="+", choices=PAIRS, default=list(PAIRS))
    options = parser.parse_args()
    quiet_start()
    data = datasets.load("mnist-5k")
    for pair in options.pair:
        report(pair, options.rounds, data.x_train, data.y_train)


if __name__ == "__main__":
    main()
