"""Adapters of other runtimes' model files with Keras's `predict_on_batch`, which evaluation.metrics.predict calls."""

from pathlib import Path

import numpy as np

from rontgen.core.errors import RontgenError, first_line


class Onnx:
    """A model in ONNX Runtime, on the CPU. threads: of one operation."""

    def __init__(self, path: Path, threads: int):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3  # errors
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of a damaged file, one of a dozen types of its own
            raise RontgenError(f"{path}: expected an ONNX model, received {first_line(error)}") from None
        self._input = self._session.get_inputs()[0].name

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        """uint8 (N, H, W, 1) to float32 (N, units), as the model's last layer gives them."""
        return self._session.run(None, {self._input: images.astype(np.float32)})[0]


class LiteRt:
    """A model in LiteRT, on the CPU, which takes one image at a time. threads: of one operation."""

    def __init__(self, path: Path, threads: int):
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter = Interpreter(str(path), num_threads=threads)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise RontgenError(f"{path}: expected a LiteRT model, received {first_line(error)}") from None
        self._input = self._interpreter.get_input_details()[0]["index"]
        self._output = self._interpreter.get_output_details()[0]["index"]

    def predict_on_batch(self, images: np.ndarray) -> np.ndarray:
        """uint8 (N, H, W, 1) to float32 (N, units), as the model's last layer gives them."""
        outputs = []
        for image in images.astype(np.float32):
            self._interpreter.set_tensor(self._input, image[None])
            self._interpreter.invoke()
            outputs.append(self._interpreter.get_tensor(self._output))
        return np.concatenate(outputs)
