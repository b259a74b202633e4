"""`check_models.py <folder>`: each model below it passes ONNX's full checker, and ONNX Runtime computes its outputs.

A model's folder has model.onnx and test_data_set_0/{input,output}_<i>.pb, as those of the onnx package have.
"""

import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
failed = count = 0
for folder in sorted(pathlib.Path(sys.argv[1]).iterdir(), key=lambda path: int(path.name)):
    try:
        model = onnx.load(folder / "model.onnx")
        onnx.checker.check_model(model, full_check=True)
        session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])

        def tensors(kind):
            files = sorted((folder / "test_data_set_0").glob(f"{kind}_*.pb"))
            loaded = [onnx.load_tensor(file) for file in files]
            return {tensor.name: numpy_helper.to_array(tensor) for tensor in loaded}

        inputs, outputs = tensors("input"), tensors("output")
        wanted = {value.name for value in session.get_inputs()}
        found = session.run(list(outputs), {name: value for name, value in inputs.items() if name in wanted})
        for (name, expected), value in zip(outputs.items(), found):
            assert value.shape == expected.shape, f"{name}: {value.shape}, expected {expected.shape}"
            worst = np.max(np.abs(value - expected) / (1 + np.abs(expected)), initial=0)
            assert worst <= 1e-4, f"{name}: differs by {worst}"
        count += 1
    except Exception as error:
        failed += 1
        print(f"graph {folder.name}: {str(error).splitlines()[0]}")
print(f"ONNX Runtime: {count} right, {failed} wrong")
sys.exit(failed > 0)
