"""The book's training step in Keras on TensorFlow, one at a time for training_step.py.

    python benchmarks/book_tensorflow.py --size 64 --batch 64 --threads 2

Written from its description in docs/from-the-book.md. Says how many weights it trains when it is
ready; then each line on stdin is answered by a step's seconds. ``--xla`` compiles the step.
Needs TensorFlow and nothing of this project.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

WIDTHS, DEPTH = (32, 64, 96, 128), 2
EMBEDDING, MAX_FREQUENCY = 32, 1000.0
SIGNALS = 0.02, 0.95
"""The rates of the signal at t = 1 and t = 0."""
DECAY = 0.999
NUM_IMAGES = 160


def embedded(level):
    """(N, 1, 1, 1) -> (N, 1, 1, EMBEDDING)."""
    frequencies = np.geomspace(1.0, MAX_FREQUENCY, EMBEDDING // 2).astype("float32")
    angles = 2 * math.pi * frequencies * level
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=3)


def block(x, width):
    same = x if x.shape[3] == width else layers.Conv2D(width, 1)(x)
    x = layers.BatchNormalization(center=False, scale=False)(x)
    x = layers.Conv2D(width, 3, padding="same", activation="swish")(x)
    return layers.Add()([layers.Conv2D(width, 3, padding="same")(x), same])


def build_network(size: int) -> keras.Model:
    noisy, level = keras.Input((size, size, 3)), keras.Input((1, 1, 1))
    spread = layers.UpSampling2D(size)(layers.Lambda(embedded, (1, 1, EMBEDDING))(level))
    x = layers.Concatenate()([layers.Conv2D(WIDTHS[0], 1)(noisy), spread])
    skips = []
    for width in WIDTHS[:-1]:
        for _ in range(DEPTH):
            x = block(x, width)
            skips.append(x)
        x = layers.AveragePooling2D(2)(x)
    for _ in range(DEPTH):
        x = block(x, WIDTHS[-1])
    for width in reversed(WIDTHS[:-1]):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        for _ in range(DEPTH):
            x = block(layers.Concatenate()([x, skips.pop()]), width)
    return keras.Model([noisy, level], layers.Conv2D(3, 1, kernel_initializer="zeros")(x))


class Diffusion(keras.Model):
    """The network, its average, and the step that trains both."""

    def __init__(self, images, size: int) -> None:
        super().__init__()
        self.normalizer = layers.Normalization()
        self.normalizer.adapt(images)
        self.network, self.average = build_network(size), build_network(size)
        self.noise_loss, self.image_loss = keras.metrics.Mean(), keras.metrics.Mean()

    def train_step(self, images):
        """One step on images (N, size, size, 3) in [0, 1]."""
        images = self.normalizer(images, training=True)
        eps = tf.random.normal(tf.shape(images))
        signal, noise = rates(tf.random.uniform((tf.shape(images)[0], 1, 1, 1)))
        noisy = signal * images + noise * eps
        with tf.GradientTape() as tape:
            seen = self.network([noisy, noise**2], training=True)
            loss = tf.reduce_mean(tf.abs(eps - seen))
        weights = self.network.trainable_weights
        self.optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        self.noise_loss.update_state(loss)
        found = (noisy - noise * seen) / signal
        self.image_loss.update_state(tf.reduce_mean(tf.abs(images - found)))
        for mean, weight in zip(self.average.weights, self.network.weights, strict=True):
            mean.assign(DECAY * mean + (1 - DECAY) * weight)
        return loss


def rates(t):
    """Signal and noise at times t: an angle linear in t."""
    end, start = (math.acos(signal) for signal in SIGNALS)
    angle = start + t * (end - start)
    return tf.cos(angle), tf.sin(angle)


def main(size: int, batch: int, threads: int, xla: bool) -> None:
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    pixels = np.random.default_rng(0).random((NUM_IMAGES, size, size, 3), "float32")
    data = tf.data.Dataset.from_tensor_slices(pixels)
    batches = data.cache().repeat().shuffle(10 * batch).batch(batch, drop_remainder=True)
    feed = iter(batches.prefetch(tf.data.AUTOTUNE))
    model = Diffusion(pixels, size)
    model.compile(optimizer=keras.optimizers.AdamW(1e-3, weight_decay=1e-4))
    model.optimizer.build(model.network.trainable_weights)
    step = tf.function(model.train_step, jit_compile=xla)
    print(sum(math.prod(w.shape) for w in model.network.trainable_weights), flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        step(next(feed)).numpy()
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--xla", action="store_true")
    main(**vars(parser.parse_args()))
