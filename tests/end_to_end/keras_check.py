"""Real Keras, safetensors and TensorBoard against files of Kiln's. What is wrong is an AssertionError, exit code 1."""
import json
import os
import sys
import warnings

os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
warnings.filterwarnings("ignore")


def images(path, rows):
    import numpy as np

    table = np.loadtxt(path, delimiter=",", skiprows=1, dtype="f", max_rows=rows)
    has_labels = table.shape[1] == 785
    x = table[:, 1 if has_labels else 0 :].reshape(-1, 28, 28, 1) / np.float32(255)
    return x, np.eye(10, dtype="f")[table[:, 0].astype(int)] if has_labels else None


def close(ours, theirs, tolerance, what):
    import numpy as np

    assert ours.shape == theirs.shape, f"{what}: {ours.shape} and {theirs.shape}"
    difference = float(np.abs(ours - theirs).max()) if ours.size else 0.0
    assert difference <= tolerance, f"{what}: they differ by {difference}"
    print(f"{what}: largest difference {difference:.2g}")


def predictions(model_file, test_csv, probabilities_csv):
    """load_model opens it, compiled, and predicts what Kiln predicted (issue: 1e-5)."""
    import keras
    import numpy as np

    model = keras.models.load_model(model_file)
    assert model.compiled, "not compiled"
    ours = np.loadtxt(probabilities_csv, delimiter=",", skiprows=1, dtype="f", max_rows=256)[:, 1:]
    close(ours, model.predict(images(test_csv, 256)[0], verbose=0), 1e-5, os.path.basename(model_file))
    return model


def optimizer(model_file, h5_file):
    """The optimizer's state is whole: in .keras as load_model restores it, in .h5 the same arrays, since Keras 3.15.1's
    reader of .h5 builds the optimizer for no variables at all (of its own files, too)."""
    import h5py
    import keras
    import numpy as np

    model = keras.models.load_model(model_file)
    state = model.optimizer.variables
    copies = {"RMSprop": 1, "SGD": 1, "Adam": 2}[type(model.optimizer).__name__]
    assert len(state) == 2 + copies * len(model.trainable_variables), [v.path for v in state]
    assert int(state[0].numpy()) > 0, "no iterations"
    for variable in state[2:]:
        assert np.abs(variable.numpy()).max() > 0, f"{variable.path} is zero"
        # Means of squares; Adam's two states of a weight have one shape and could be taken for each other.
        assert "velocity" not in variable.path or variable.numpy().min() >= 0, f"{variable.path} is negative"
    with h5py.File(h5_file) as file:
        group = file["optimizer_weights"]
        names = [n.decode() if isinstance(n, bytes) else n for n in group.attrs["weight_names"]]
        assert len(names) == len(state), names
        for name, variable in zip(names, state):
            assert np.array_equal(group[name][()], variable.numpy()), name
    print(f"{len(state)} variables of {type(model.optimizer).__name__}")


def goes_on(before, train_csv, steps, after):
    """Keras trains `before` for so many steps on one batch, and has what Kiln has in `after`."""
    import keras

    model = keras.models.load_model(before)
    x, y = images(train_csv, 64)
    for _ in range(int(steps)):
        model.train_on_batch(x, y)
    theirs = keras.models.load_model(after)
    pairs = list(zip(model.weights + model.optimizer.variables, theirs.weights + theirs.optimizer.variables))
    # Both add in f32, in different orders: some roundings of weights of the order of one, over a few steps. Adam divides
    # by the root of a tiny mean square, which magnifies them.
    tolerance = 2e-3 if type(model.optimizer).__name__ == "Adam" else 1e-5
    for ours, other in pairs:
        close(ours.numpy(), other.numpy(), tolerance, ours.path)


def same_as_saved(folder, probabilities_csv):
    import numpy as np

    ours = np.loadtxt(probabilities_csv, delimiter=",", skiprows=1, dtype="f", max_rows=256)[:, 1:]
    close(ours, np.load(f"{folder}/theirs.npy")[: len(ours)], 1e-5, os.path.basename(probabilities_csv))


def original(folder, train_csv):
    """The digit network as a user of Keras writes it: Sequential, activations in the layers, names of Keras's."""
    import keras
    import numpy as np
    from keras import layers as l

    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            l.Conv2D(32, (3, 3), activation="relu"),
            l.BatchNormalization(epsilon=1e-6, axis=1),
            l.MaxPooling2D((2, 2)),
            l.ZeroPadding2D((1, 1)),
            l.Conv2D(48, (3, 3), activation="relu"),
            l.BatchNormalization(epsilon=1e-6, axis=1),
            l.MaxPooling2D((2, 2)),
            l.ZeroPadding2D((1, 1)),
            l.Conv2D(64, (2, 2), activation="relu"),
            l.BatchNormalization(epsilon=1e-6, axis=1),
            l.MaxPooling2D((2, 2)),
            l.Dropout(0.25),
            l.Flatten(),
            l.Dense(3168, activation="relu"),
            l.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="binary_crossentropy", optimizer="rmsprop", metrics=["accuracy"])
    x, y = images(train_csv, 256)
    model.fit(x, y, batch_size=64, epochs=1, verbose=0)
    model.save(f"{folder}/theirs.keras")
    model.save(f"{folder}/theirs.h5")
    np.save(f"{folder}/theirs.npy", model.predict(x, verbose=0))
    # Others that are not the graph's.
    model.layers[0].activation = keras.activations.tanh
    model.save(f"{folder}/tanh.keras")
    keras.Sequential([keras.Input((28, 28, 1)), l.Flatten(), l.Dense(10, activation="softmax")]).save(
        f"{folder}/small.h5"
    )


def hostile(model_file, folder):
    """Files that are valid HDF5 and reach for what is not theirs, or claim what they do not have."""
    import shutil

    import h5py
    import numpy as np

    def variant(name, change):
        shutil.copy(model_file, f"{folder}/{name}.h5")
        with h5py.File(f"{folder}/{name}.h5", "a") as file:
            change(file, file["model_weights/conv2d/conv2d"])

    def replace(layer, *arguments, **keywords):
        del layer["bias"]
        layer.create_dataset("bias", *arguments, **keywords)

    def link(value):
        def change(file, layer):
            del layer["bias"]
            layer["bias"] = value

        return change

    def deep(file, layer):
        for _ in range(30):
            layer = layer.create_group("g")

    def virtual(file, layer):
        layout = h5py.VirtualLayout(shape=(32,), dtype="f4")
        layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(32,))
        del layer["bias"]
        layer.create_virtual_dataset("bias", layout)

    def circle(file, layer):
        layer["again"] = file["model_weights"]

    variant("soft", link(h5py.SoftLink("/model_weights/dense/dense/bias")))
    variant("external_link", link(h5py.ExternalLink("/etc/passwd", "/x")))
    variant("external_data", lambda f, l: replace(l, shape=(32,), dtype="f4", external=[("/etc/passwd", 0, 128)]))
    variant("virtual", virtual)
    variant("compressed", lambda f, l: replace(l, data=np.zeros(32, "f4"), compression="gzip"))
    variant("huge", lambda f, l: replace(l, shape=(1 << 40,), dtype="f4", chunks=(1 << 20,)))
    variant("strings", lambda f, l: replace(l, data=[b"x"] * 32))
    variant("long", lambda f, l: replace(l, data=np.zeros(33, "f4")))
    variant("nan", lambda f, l: replace(l, data=np.full(32, np.nan, "f4")))
    variant("deep", deep)
    variant("circle", circle)
    def configured(key, value):
        """Another setting of the first convolution."""

        def change(file, layer):
            config = json.loads(file.attrs["model_config"])
            next(l for l in config["config"]["layers"] if l["class_name"] == "Conv2D")["config"][key] = value
            file.attrs["model_config"] = json.dumps(config)

        return change

    variant("constraint", configured("kernel_constraint", {"class_name": "MaxNorm", "config": {"max_value": 2}}))
    variant("regularizer", configured("kernel_regularizer", {"class_name": "Orthogonal", "config": {"factor": 0.1}}))
    variant("activity", configured("activity_regularizer", {"class_name": "L2", "config": {"l2": 0.5}}))
    variant("json", lambda f, l: f.attrs.__setitem__("model_config", "[" * 100_000))
    variant("unknown", lambda f, l: f.attrs.__setitem__("model_config", '{"class_name": "Subclassed", "config": {}}'))


def safetensors(file, other):
    """The package reads every tensor and writes them anew, in f16 where the name says so."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    tensors = load_file(file)
    assert tensors["conv2d_1/kernel"].shape == (48, 3, 3, 32), tensors["conv2d_1/kernel"].shape
    assert sum(t.size for t in tensors.values()) == 1886354
    save_file({k: v.astype("f2") if "half" in other else v for k, v in tensors.items()}, other)


def tensorboard(folder, epochs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(folder, size_guidance={"histograms": 0, "scalars": 0}).Reload()
    tags = events.Tags()
    for tag in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
        assert tag in tags["scalars"], tags
    losses = events.Scalars("loss")
    assert [e.step for e in losses] == list(range(1, int(epochs) + 1)), losses
    assert all(0 < e.value < 10 for e in losses)
    assert "conv2d_1/kernel" in tags["histograms"], tags["histograms"]
    histogram = events.Histograms("conv2d_1/kernel")[-1].histogram_value
    assert histogram.num == 48 * 3 * 3 * 32 and sum(histogram.bucket) == histogram.num
    assert histogram.min < 0 < histogram.max and len(histogram.bucket) == len(histogram.bucket_limit)
    assert tags["graph"], "no graph"
    nodes = {n.name: n for n in __graph(events).node}
    assert nodes["dense/dense"].op == "dense", sorted(nodes)
    print(f"{len(tags['scalars'])} scalars, {len(tags['histograms'])} histograms, {len(nodes)} nodes of a graph")


def __graph(events):
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    return events.Graph() if isinstance(events.Graph(), GraphDef) else GraphDef.FromString(events.Graph())


if __name__ == "__main__":
    # Several checks in one process, divided by "+": importing Keras takes seconds.
    words = sys.argv[1:]
    while words:
        end = words.index("+") if "+" in words else len(words)
        globals()[words[0]](*words[1:end])
        words = words[end + 1 :]
