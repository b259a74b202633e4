"""Writes ONNX's tests of its operators as files: `write_node_tests.py <folder>`, laid out as those that the package ships.

Tests whose inputs or outputs are no tensors (sequences, optional values) are only named: a folder without files.
"""

import pathlib
import sys
import warnings

warnings.filterwarnings("ignore")

from onnx import TensorProto, numpy_helper
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
