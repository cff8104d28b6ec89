"""The stream worker: it reads the event stream in batches and runs each batch through the steps."""
