"""Engine adapters, one package each; nothing else in the host knows an engine."""
