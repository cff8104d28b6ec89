"""What runs behind the doors: the stream worker (plain asyncio) and the Celery tasks.

A worker enters a domain by its service, models, pipeline or store; nothing imports a worker.
"""
