"""Predicts the rows of a file of bytes, 784 each, and prints the most probable digit of each, by ctypes alone:

    python3 examples/predict.py build/libdigits.so runs/digits-1/model.kiln rows.bytes
"""

import ctypes
import sys


class Predictor:
    """A compiled network with a trained model: rows of bytes in, rows of floats out."""

    def __init__(self, library, model, threads=0):
        self._library = ctypes.CDLL(library)
        self._library.kiln_predictor_open.restype = ctypes.c_void_p
        self._library.kiln_predictor_close.argtypes = [ctypes.c_void_p]
        for size in (self._library.kiln_predictor_input_size, self._library.kiln_predictor_output_size):
            size.restype, size.argtypes = ctypes.c_int64, [ctypes.c_void_p]
        self._message = ctypes.create_string_buffer(256)
        self._predictor = self._library.kiln_predictor_open(
            model.encode(), threads, self._message, ctypes.c_size_t(len(self._message))
        )
        if not self._predictor:
            raise RuntimeError(self._message.value.decode())
        self.inputs = self._library.kiln_predictor_input_size(self._predictor)
        self.outputs = self._library.kiln_predictor_output_size(self._predictor)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._library.kiln_predictor_close(self._predictor)

    def __call__(self, rows):
        """The outputs of as many rows as there are in `rows`, bytes one after the other."""
        count = len(rows) // self.inputs
        values = (ctypes.c_float * (count * self.outputs))()
        code = self._library.kiln_predictor_run(
            ctypes.c_void_p(self._predictor),
            rows,
            ctypes.c_int64(count),
            values,
            self._message,
            ctypes.c_size_t(len(self._message)),
        )
        if code != 0:
            raise RuntimeError(self._message.value.decode())
        return [values[i * self.outputs : (i + 1) * self.outputs] for i in range(count)]


def main(library, model, rows):
    with Predictor(library, model) as predict, open(rows, "rb") as file:
        for probabilities in predict(file.read()):
            best = max(range(len(probabilities)), key=probabilities.__getitem__)
            print(f"{best} {probabilities[best]:.6f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
