"""How a model is trained: augmentation, batches, the protocol's phases, and what makes a run repeatable."""
