"""The parts of the diagnosis: what curves, pictures and scores tell."""
