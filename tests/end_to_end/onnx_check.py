"""Checks of formats_test.cpp that need ONNX itself and ONNX Runtime: `onnx_check.py <check> <arguments> [+ <check> ...]`."""

import sys

import numpy as np


def rows(csv, session):
    """The CSV's images as the model's input wants them."""
    data = np.loadtxt(csv, delimiter=",", skiprows=1, dtype="f")
    (value,) = session.get_inputs()
    width = int(np.prod(value.shape[1:]))
    return {value.name: (data[:, -width:] / 255).reshape(-1, *value.shape[1:])}


def predictions(model, test_csv, probabilities_csv):
    """The full checker passes the model, and ONNX Runtime predicts with it what Kiln did, for any number of rows."""
    import onnx
    import onnxruntime

    loaded = onnx.load(model)
    onnx.checker.check_model(loaded, full_check=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    ours = np.loadtxt(probabilities_csv, delimiter=",", skiprows=1, dtype="f")[:, 1:]
    inputs = rows(test_csv, session)
    (theirs,) = session.run(None, inputs)
    assert theirs.shape == ours.shape, (theirs.shape, ours.shape)
    difference = np.abs(theirs - ours).max()
    assert difference <= 1e-5, difference
    (one,) = session.run(None, {name: value[:1] for name, value in inputs.items()})
    assert np.abs(one - ours[:1]).max() <= 1e-5
    kinds = sorted({node.op_type for node in loaded.graph.node})
    print(f"{model}: {len(ours)} rows, largest difference {difference:.1e}; {len(loaded.graph.node)} nodes: {' '.join(kinds)}")


def refused_models(folder):
    """Writes models that Kiln refuses, and refused_models.txt: each one's name and what the error says."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    messages = []

    def model(name, message, nodes, shape=("N", 3, 8, 8), constants=(), opset=17, change=lambda model: None):
        value = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        initializers = [c if isinstance(c, TensorProto) else numpy_helper.from_array(c[1], c[0]) for c in constants]
        graph = helper.make_graph(nodes, "g", [value("x", shape)], [value("y", None)], initializers)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        change(made)
        with open(f"{folder}/{name}.onnx", "wb") as file:
            file.write(made.SerializeToString())
        messages.append(f"{name}.onnx\t{message}\n")

    def node(op, *inputs, name="here", **attributes):
        return helper.make_node(op, ["x", *inputs], ["y"], name=name, **attributes)

    f = lambda *shape: np.ones(shape, "f")
    kernel = ("w", f(4, 3, 3, 3))
    at = lambda op, text: f"node 'here' ({op}): {text}"
    model("operator", at("ConvTranspose", "Kiln has no operator for it"), [node("ConvTranspose", "w")], constants=[kernel])
    model("attribute", at("Relu", "Kiln knows no attribute colour of it"), [node("Relu", colour=3)])
    model("value", at("MaxPool", "attribute dilations has 2, Kiln's pooling has 1"),
          [node("MaxPool", kernel_shape=[2, 2], dilations=[2, 2])])
    model("wrong_type", at("LeakyRelu", "attribute alpha has another type than ONNX says"), [node("LeakyRelu", alpha="a")])
    model("split", at("Split", "its parts do not make up the whole"),
          [helper.make_node("Split", ["x", "s"], ["y", "z"], name="here", axis=1)], constants=[("s", np.array([1, 1]))])
    model("domain", at("Relu", "is of the domain com.example"), [node("Relu", domain="com.example")])
    model("many_inputs", at("Relu", "has 2 inputs, Kiln knows 1"), [node("Relu", "x")])
    model("before", at("Relu", "its input 'z' is not computed before it"),
          [helper.make_node("Relu", ["z"], ["y"], name="here")])
    model("kernel", at("Conv", "its kernel is computed; Kiln takes a constant"), [node("Conv", "x")])
    model("groups", at("Conv", "2 groups, 3 channels"), [node("Conv", "w", group=2)], constants=[kernel])
    model("large", at("Conv", "a window of 101"), [node("Conv", "w", dilations=[50, 1])], constants=[kernel])
    model("strides", at("Conv", "attribute strides is 0"), [node("Conv", "w", strides=[0, 1])], constants=[kernel])
    model("pads", at("Conv", "attribute pads is 1000000000000"), [node("Conv", "w", pads=[10**12] * 4)],
          constants=[kernel])
    model("batch", at("ReduceMean", "it is over the batch"), [node("ReduceMean", axes=[0])])
    model("mixing", at("Reshape", "Nx3x8x8 cannot become 3x-1"), [node("Reshape", "s")],
          constants=[("s", np.array([3, -1]))])
    model("swap", at("Transpose", "the batch must stay the first dimension"), [node("Transpose", perm=[1, 0, 2, 3])])
    model("shapes", at("Add", "the shapes Nx3x8x8 and 5 do not fit together"), [node("Add", "c")], constants=[("c", f(5))])
    model("twice", "'y' is defined twice", [node("Relu"), node("Relu")])
    model("free_size", "input 'x': dimension 2 (height) has no size", [node("Relu")], shape=("N", 3, "height", 8))
    model("nan", "tensor 'w' has a value that is infinite or not a number", [node("Conv", "w")],
          constants=[("w", f(4, 3, 3, 3) * np.nan)])
    model("integers", "tensor 'w' does not hold real numbers", [node("Conv", "w")],
          constants=[("w", np.ones((4, 3, 3, 3), "i1"))])
    short = numpy_helper.from_array(f(2), "w")
    short.dims[:] = [1 << 20, 1 << 10]
    model("short", "tensor 'w' has 2 values, its shape 1073741824", [node("Mul", "w")], constants=[short])
    huge = numpy_helper.from_array(f(2), "w")
    huge.dims[:] = [1 << 40, 1 << 40]
    model("huge", "tensor 'w' has no possible shape: 1099511627776x1099511627776", [node("Mul", "w")], constants=[huge])
    elsewhere = numpy_helper.from_array(f(3, 1, 1), "w")
    elsewhere.data_location = TensorProto.EXTERNAL
    elsewhere.external_data.add(key="location", value="/etc/passwd")
    model("elsewhere", "tensor 'w' lies in another file, which is not read", [node("Mul", "w")], constants=[elsewhere])
    model("old", "uses version 5 of ONNX's operators, Kiln reads 6 and later", [node("Relu")], opset=5)
    model("lines", "node 'a?b' (Tan): Kiln has no operator for it", [node("Tan", name="a\nb")])
    model("constant", "its output 'y' is not computed from its inputs", [helper.make_node("Identity", ["c"], ["y"])],
          constants=[("c", f(3))])
    with open(f"{folder}/refused_models.txt", "w") as file:
        file.writelines(messages)


if __name__ == "__main__":
    words = sys.argv[1:]
    while words:
        end = words.index("+") if "+" in words else len(words)
        globals()[words[0]](*words[1:end])
        words = words[end + 1 :]
