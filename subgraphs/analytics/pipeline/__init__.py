"""The steps a batch of events takes into the stores, one file a step."""
