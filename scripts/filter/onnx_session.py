"""Networks in ONNX Runtime, the same way for all detectors."""

from __future__ import annotations

from pathlib import Path

import onnxruntime

from scripts.lib.errors import UserError


def open_session(model: Path | bytes, threads: int) -> onnxruntime.InferenceSession:
    """Return a session for an ONNX file or its bytes, on the GPU where this ONNX Runtime knows one.

    Raises:
        UserError: ONNX Runtime cannot load it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors; files of others give hundreds of warnings on loading
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(
            model if isinstance(model, bytes) else str(model), options, providers=providers
        )
    except Exception as error:  # ONNX Runtime has a class of its own for each fault
        name = "an ONNX model" if isinstance(model, bytes) else str(model)
        raise UserError(f"ONNX Runtime cannot load {name}: {' '.join(str(error).split())[:300]}") from error
