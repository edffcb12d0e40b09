"""The model as OpenVINO runs it on the CPU, in float32 or bfloat16."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ragguard.errors import MissingDependencyError
from ragguard.models.backends.exported import onnx_of
from ragguard.models.backends.protocol import IntArray, version_of
from ragguard.models.cpu import import_torch, require_bfloat16
from ragguard.protocols import FloatArray

if TYPE_CHECKING:
    from ragguard.models.pair_parts import PairModel

_PRECISION = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoBackend:
    """Runs a pair model in OpenVINO, read from a plain ONNX file.

    Args:
        dtype: "float32" or "bfloat16".

    Raises:
        InvalidValueError: bfloat16 on a CPU that has none.
        MissingDependencyError: OpenVINO is not installed.
    """

    name = "openvino"
    most_rows = None

    def __init__(self, model: PairModel, *, dtype: str) -> None:
        openvino = _import_openvino()
        if dtype == "bfloat16":
            require_bfloat16()
        self.dtype = dtype
        self.library = version_of("openvino", openvino.__version__)
        core = openvino.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": _PRECISION[dtype],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": int(import_torch().get_num_threads()),
        }
        compiled = core.compile_model(core.read_model(onnx_of(model)), "CPU", settings)
        self._request = compiled.create_infer_request()

    def run(self, ids: IntArray, mask: IntArray, types: IntArray | None, /) -> FloatArray:
        """Return the logits (rows, 6)."""
        inputs = {"input_ids": ids, "attention_mask": mask}
        if types is not None:
            inputs["token_type_ids"] = types
        # The output is the request's own memory: the next run writes over it.
        return np.array(self._request.infer(inputs)[0], dtype=np.float32)


def _import_openvino() -> Any:
    try:
        import openvino
    except ImportError as error:
        raise MissingDependencyError(
            "openvino is not installed", hint="pip install 'ragguard[openvino]'"
        ) from error
    return openvino
