"""What runs a pair model: torch, OpenVINO or ONNX Runtime, one module each."""
