"""One measurement of one peer, run in that peer's own Python by compare.py.

usage: peers.py WORK '{"argument": value, ...}'

Works that can be repeated print "ready" when they are warm, then answer each line "SECONDS" on standard input with the
times (seconds) of the calls that fit in, at least one: "median minimum". Between lines they wait for input, asleep.
The others do their work once and print a line. The networks are those of graphs/ and tests/bench/graphs/, with
categorical cross-entropy in place of the digits' binary one, which costs the same.
"""

import json
import os
import statistics
import sys
import time

NETWORKS = {"digits": (28, 28, 1), "digits_deep": (28, 28, 1), "cifar": (32, 32, 3), "separable": (32, 32, 3)}


def answer(call, warm_up=5):
    """Serves compare.py with the times of `call`, which waits for its own result."""
    for _ in range(warm_up):
        call()
    print("ready", flush=True)
    for line in sys.stdin:
        times, end = [], time.perf_counter() + float(line)
        while not times or time.perf_counter() < end:
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        print(statistics.median(times), min(times), flush=True)


def random_rows(count, shape=(28, 28, 1)):
    """Images as batch x channels x height x width in [0, 1), and labels."""
    import numpy

    generator = numpy.random.default_rng(1)
    height, width, channels = shape
    images = generator.random((count, channels, height, width), dtype=numpy.float32)
    return images, generator.integers(0, 10, count)


# --- PyTorch ---


def torch_network(name):
    from torch import nn

    def convolution(inputs, outputs, size, norm_first=True, activation=nn.ReLU, epsilon=1e-3, **options):
        norm = nn.BatchNorm2d(outputs, eps=epsilon, momentum=0.01)
        layers = [norm, activation()] if norm_first else [activation(), norm]
        return [nn.Conv2d(inputs, outputs, size, bias=not norm_first, **options), *layers]

    if name == "digits":
        plain = dict(norm_first=False, epsilon=1e-6)
        return nn.Sequential(
            *convolution(1, 32, 3, **plain),
            nn.MaxPool2d(2),
            *convolution(32, 48, 3, padding=1, **plain),
            nn.MaxPool2d(2),
            *convolution(48, 64, 2, padding=1, **plain),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
            nn.Flatten(),
            nn.Linear(576, 3168),
            nn.ReLU(),
            nn.Linear(3168, 10)
        )
    if name == "digits_deep":
        layers, channels = [], 1
        for width, count in ((16, 7), (32, 6), (48, 5)):
            for i in range(count):
                layers += convolution(channels, width, 3, padding=1, stride=2 if i == 0 else 1, activation=nn.SELU)
                channels = width
        return nn.Sequential(
            *layers,
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.AlphaDropout(0.05),
            nn.Linear(48, 64),
            nn.SELU(),
            nn.Linear(64, 10)
        )
    if name == "cifar":
        layers, channels = [], 3
        for width in (32, 64, 128):
            layers += convolution(channels, width, 3, padding=1) + convolution(width, width, 3, padding=1)
            layers, channels = layers + [nn.MaxPool2d(2)], width
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(2048, 128), nn.ReLU(), nn.Linear(128, 10))
    layers, channels = convolution(3, 32, 3, padding=1), 32
    for width, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        layers += convolution(channels, channels, 3, padding=1, stride=stride, groups=channels)
        layers, channels = layers + convolution(channels, width, 1), width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(256, 10))


class TorchTraining:
    """Channels last, as PyTorch is fastest on these networks; `bf16`: under autocast."""

    def __init__(self, network="digits", bf16=False, compiled=False):
        import torch

        self.torch = torch
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        torch.manual_seed(0)
        self.network = torch_network(network).train().to(memory_format=torch.channels_last)
        make = torch.optim.Adam if network == "digits_deep" else torch.optim.RMSprop
        options = {} if network == "digits_deep" else dict(alpha=0.9)
        optimizer = make(self.network.parameters(), lr=1e-3, eps=1e-7, foreach=True, **options)

        def loss(x, y):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                return torch.nn.functional.cross_entropy(self.network(x), y)

        update = optimizer.step
        if compiled:
            loss, update = torch.compile(loss), torch.compile(optimizer.step)
        self.forward = torch.compile(self.network, dynamic=False) if compiled else self.network

        def step(x, y):
            optimizer.zero_grad(set_to_none=True)
            value = loss(x, y)
            value.backward()
            update()
            return value.item()

        self.step = step

    def tensors(self, images, labels):
        torch = self.torch
        return (torch.from_numpy(images).contiguous(memory_format=torch.channels_last), torch.from_numpy(labels).long())


def torch_step(network="digits", batch=64, bf16=False, compiled=False):
    training = TorchTraining(network, bf16, compiled)
    x, y = training.tensors(*random_rows(batch, NETWORKS[network]))
    answer(lambda: training.step(x, y))


def torch_epoch(compiled=True):
    """33,600 rows in a random order, then validation on 8,400."""
    training = TorchTraining(compiled=compiled)
    torch = training.torch
    x, y = training.tensors(*random_rows(33600))
    v, w = training.tensors(*random_rows(8400))

    def epoch(rows=33600, validation=8400):
        training.network.train()
        order = torch.randperm(rows)
        for i in range(0, rows, 64):
            chosen = order[i : i + 64]
            training.step(x[chosen], y[chosen])
        training.network.eval()
        right = 0
        with torch.no_grad():
            for i in range(0, validation, 64):
                right += (training.forward(v[i : i + 64]).argmax(1) == w[i : i + 64]).sum().item()
        return right

    epoch(640, 64 * 3 + 16)  # compiles, for both sizes of validation batches
    answer(epoch, warm_up=0)


def torch_first_step():
    training = TorchTraining()
    training.step(*training.tensors(*random_rows(64)))
    print("done", flush=True)


def torch_memory():
    """200 steps over 42,000 images held as bytes."""
    training = TorchTraining()
    torch = training.torch
    images = torch.randint(0, 256, (42000, 1, 28, 28), dtype=torch.uint8)
    labels = torch.randint(0, 10, (42000,))
    for i in range(200):
        rows = slice(64 * i, 64 * i + 64)
        training.step((images[rows].float() / 255).contiguous(memory_format=torch.channels_last), labels[rows])
    print("done", flush=True)


def torch_export(path):
    """The digit network with softmax as ONNX, for any batch."""
    import torch

    network = torch.nn.Sequential(*torch_network("digits").eval(), torch.nn.Softmax(1))
    torch.onnx.export(
        network,
        (torch.rand(2, 1, 28, 28),),
        path,
        input_names=["x"],
        output_names=["p"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        external_data=False,
    )
    print("done", flush=True)


# --- the runtimes of ONNX ---


def onnxruntime_predict(model, batch):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    x, _ = random_rows(batch)
    answer(lambda: session.run(None, {"x": x}))


def openvino_predict(model, batch, precision="f32"):
    import openvino

    core = openvino.Core()
    network = core.read_model(model)
    network.reshape([batch, 1, 28, 28])
    request = core.compile_model(
        network,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)),
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
        },
    ).create_infer_request()
    x, _ = random_rows(batch)
    answer(lambda: request.infer({0: x}, share_inputs=True, share_outputs=True))


# --- JAX ---


def jax_step():
    """A jitted training step of the digit network in JAX's own convolutions, and its first arguments."""
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax
    import jax.numpy as jnp
    import optax

    keys = iter(jax.random.split(jax.random.key(0), 9))
    convolutions = ((3, 1, 32, 0), (3, 32, 48, 1), (2, 48, 64, 1))
    weights = [
        dict(
            w=jax.random.normal(next(keys), (k, k, i, o)) * (2 / (k * k * i)) ** 0.5,
            b=jnp.zeros(o),
            gamma=jnp.ones(o),
            beta=jnp.zeros(o),
        )
        for k, i, o, _ in convolutions
    ]
    weights += [
        dict(w=jax.random.normal(next(keys), (i, o)) * (2 / i) ** 0.5, b=jnp.zeros(o))
        for i, o in ((576, 3168), (3168, 10))
    ]
    optimizer = optax.rmsprop(1e-3, decay=0.9, eps=1e-7)

    def loss(weights, moving, x, y, key):
        now = []
        for p, (mean, variance), (_, _, _, pad) in zip(weights, moving, convolutions):
            x = jax.lax.conv_general_dilated(
                x, p["w"], (1, 1), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = jax.nn.relu(x + p["b"])
            m, v = x.mean((0, 1, 2)), x.var((0, 1, 2))
            now.append((0.99 * mean + 0.01 * m, 0.99 * variance + 0.01 * v))
            x = (x - m) * p["gamma"] * jax.lax.rsqrt(v + 1e-6) + p["beta"]
            x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        x = jnp.where(jax.random.bernoulli(key, 0.75, x.shape), x / 0.75, 0).reshape(x.shape[0], -1)
        x = jax.nn.relu(x @ weights[3]["w"] + weights[3]["b"]) @ weights[4]["w"] + weights[4]["b"]
        return optax.softmax_cross_entropy_with_integer_labels(x, y).mean(), now

    def step(carry, x, y):
        weights, moving, state, key = carry
        key, use = jax.random.split(key)
        (value, moving), gradient = jax.value_and_grad(loss, has_aux=True)(weights, moving, x, y, use)
        update, state = optimizer.update(gradient, state)
        return (optax.apply_updates(weights, update), moving, state, key), value

    moving = [(jnp.zeros(o), jnp.ones(o)) for _, _, o, _ in convolutions]
    return jax.jit(step, donate_argnums=0), (weights, moving, optimizer.init(weights), jax.random.key(0))


def jax_first_step():
    step, carry = jax_step()
    images, labels = random_rows(64)
    step(carry, images.transpose(0, 2, 3, 1), labels)[1].block_until_ready()
    print("done", flush=True)


def jax_memory():
    """200 steps over 42,000 images held as bytes."""
    import numpy

    step, carry = jax_step()
    images = numpy.random.default_rng(1).integers(0, 256, (42000, 28, 28, 1), dtype=numpy.uint8)
    labels = numpy.zeros(42000, dtype=numpy.int32)
    for i in range(200):
        rows = slice(64 * i, 64 * i + 64)
        carry, value = step(carry, images[rows].astype(numpy.float32) / 255, labels[rows])
        value.block_until_ready()
    print("done", flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](**json.loads(sys.argv[2]))
