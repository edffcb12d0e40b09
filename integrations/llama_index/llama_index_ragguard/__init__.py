"""ragguard for LlamaIndex: retrieval cut by a calibrated threshold, answers judged before they are shown."""
