"""Training of the alignment model: data sets read, data made by rule, the loss, the resumable loop."""
