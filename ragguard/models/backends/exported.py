"""A pair model as ONNX, exported once and kept in the user's cache.

An entry is named after everything that shaped it, is moved to its place whole, and
is read only if it has the sha256 written beside it; otherwise it is built anew.
"""

from __future__ import annotations

import copy
import hashlib
import importlib
import io
import json
import logging
import os
import tempfile
import threading
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ragguard.errors import MissingDependencyError
from ragguard.models.cpu import import_torch
from ragguard.models.dequantised import cache_root

if TYPE_CHECKING:
    from ragguard.models.pair_parts import PairModel

_LOG = logging.getLogger(__name__)
_OPSET = 17
_LAYOUT = 1
_exporting = threading.Lock()


def onnx_of(model: PairModel, *, int8: bool = False) -> bytes:
    """Return the model as an ONNX file: ids, mask (and segment ids) to `logits` (rows, 6).

    Where the cache cannot be written, it is exported each time.

    Args:
        int8: the encoder's matrices in int8, one scale a column; pooler and heads stay float32.

    Raises:
        MissingDependencyError: exporting needs onnx, int8 onnxruntime as well.
    """
    path = cache_root() / "pair-models" / f"{_key(model)}{'.int8' if int8 else ''}.onnx"
    # The exporter keeps its state in globals.
    with _exporting:
        kept = _read(path)
        if kept is not None:
            return kept
        built = _quantised(_plain(model)) if int8 else _export(model)
        try:
            _keep(path, built)
        except OSError as error:
            _LOG.warning("the exported model could not be cached: %s", type(error).__name__)
        return built


def _plain(model: PairModel) -> bytes:
    kept = _read(cache_root() / "pair-models" / f"{_key(model)}.onnx")
    return _export(model) if kept is None else kept


def _key(model: PairModel) -> str:
    import transformers

    shaped_by = {
        "weights": model.weights_sha256,
        "shapes": [[name, list(each.shape)] for name, each in model.encoder.state_dict().items()],
        "config": model.encoder.base_model.config.to_json_string(use_diff=False),
        "exporter": [import_torch().__version__, transformers.__version__, _OPSET, _LAYOUT],
    }
    return hashlib.sha256(json.dumps(shaped_by, sort_keys=True).encode()).hexdigest()[:24]


def _export(model: PairModel) -> bytes:
    _require("onnx")  # torch.onnx asks for it last, in its own words
    torch = import_torch()
    encoder = _with_plain_attention(model)
    names = ["input_ids", "attention_mask", *(["token_type_ids"] if model.uses_segments else [])]
    example = tuple(torch.ones((2, 8), dtype=torch.long) for _ in names)
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of a tracer that is deprecated, and of shapes it fixes rightly
        torch.onnx.export(
            encoder,
            example,
            file,
            dynamo=False,
            opset_version=_OPSET,
            input_names=names,
            output_names=["logits"],
            dynamic_axes={name: {0: "rows", 1: "length"} for name in names} | {"logits": {0: "rows"}},
        )
    return file.getvalue()


def _with_plain_attention(model: PairModel) -> Any:
    """A copy of the encoder in float32; fused attention has no operator in this opset."""
    config = copy.deepcopy(model.encoder.base_model.config)
    config._attn_implementation = "eager"
    encoder = type(model.encoder).from_config(config)
    encoder.load_state_dict(model.encoder.state_dict())
    return encoder.float().eval()


def _require(package: str) -> None:
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f"{package} is not installed, and exporting a model needs it",
            hint="pip install 'ragguard[onnx]' or 'ragguard[openvino]'",
        ) from error


def _quantised(plain: bytes) -> bytes:
    _require("onnxruntime")
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.quant_utils import add_pre_process_metadata

    graph = onnx.load_model_from_string(plain)
    add_pre_process_metadata(graph)  # else it advises, through the root logger, to fold once more
    with tempfile.TemporaryDirectory(prefix="ragguard-") as folder:
        target = Path(folder) / "int8.onnx"
        # The encoder multiplies in MatMul; pooler and heads in Gemm, which is left alone.
        quantize_dynamic(
            graph, target, op_types_to_quantize=["MatMul"], per_channel=True, weight_type=QuantType.QInt8
        )
        return target.read_bytes()


def _digest(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _read(path: Path) -> bytes | None:
    try:
        kept, digest = path.read_bytes(), _digest(path).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    return kept if hashlib.sha256(kept).hexdigest() == digest else None


def _keep(path: Path, built: bytes) -> None:
    """Put file and sha256 in place, each whole; a mixture of two builds is not read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(built).hexdigest().encode("ascii")
    for target, content in ((path, built), (_digest(path), digest)):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".building-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).replace(target)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
