"""Writes ONNX's tests of its operators as files: `write_node_tests.py <folder>`, laid out as those that the package ships.

Tests whose inputs or outputs are no tensors (sequences, optional values) are only named: a folder without files.
"""

import pathlib
import sys
import warnings

warnings.filterwarnings("ignore")

import numpy as np
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

for case in collect_testcases():
    folder = pathlib.Path(sys.argv[1]) / case.name
    data = folder / "test_data_set_0"
    data.mkdir(parents=True)
    graph = case.model.graph
    if not all(value.type.HasField("tensor_type") for value in [*graph.input, *graph.output]):
        continue
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    inputs, outputs = case.data_sets[0]
    for kind, values, infos in (("input", inputs, graph.input), ("output", outputs, graph.output)):
        for i, (value, info) in enumerate(zip(values, infos)):
            tensor = value if isinstance(value, TensorProto) else numpy_helper.from_array(value, info.name)
            (data / f"{kind}_{i}.pb").write_bytes(tensor.SerializeToString())


def write_own(name, operator_set, nodes, x, expected, constants):
    """A case that ONNX's tests lack, of one input `x` and one output `y`."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, expected.shape)],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_operatorsetid("", operator_set)])
    folder = pathlib.Path(sys.argv[1]) / name
    (folder / "test_data_set_0").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    for key, value in (("input_0", x), ("output_0", expected)):
        (folder / f"test_data_set_0/{key}.pb").write_bytes(numpy_helper.from_array(value, key).SerializeToString())


random = np.random.default_rng(1)
image = random.standard_normal((2, 3, 3, 3), dtype=np.float32)
# What is padded with is so large that x would vanish beside it: pooling by maximum, as PyTorch exports it.
lowest = np.finfo(np.float32).min
write_own(
    "own_pad_with_the_lowest_number",
    13,
    [helper.make_node("Pad", ["x", "pads", "value"], ["y"])],
    image,
    np.pad(image, ((0, 0), (0, 0), (1, 0), (2, 1)), constant_values=lowest),
    {"pads": np.array([0, 0, 1, 2, 0, 0, 0, 1]), "value": np.array(lowest)},
)
# Before operator set 7 a slope of several numbers goes with the channels, wherever they are.
slope = np.array([0.1, 0.2, 0.3], dtype=np.float32)
write_own(
    "own_prelu_of_operator_set_6",
    6,
    [helper.make_node("PRelu", ["x", "slope"], ["y"])],
    image,
    np.where(image > 0, image, image * slope.reshape(3, 1, 1)),
    {"slope": slope},
)
