"""One operator per module: a synchronous transformation of batches that knows neither channels nor tasks."""
