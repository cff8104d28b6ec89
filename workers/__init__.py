"""Background processes: the Celery workers and beat, and the stream worker.

app            the Celery app and the event loop of each of its processes
configuration  Celery's settings, queues and schedule
broker         corrections to kombu's Redis transport
stream/        the stream worker, plain asyncio

Every other file holds the tasks of one kind. A worker enters a domain by its service, models,
pipeline, ledger or store; nothing imports a worker.
"""
