"""The steps that take a batch of events into the stores, one file per step, named like it.

batch      a batch of events and what the steps have found out about it
countable  which source events count, and as what metric

`workers/stream/steps.py` lists the steps in the order in which they run. Nothing else enters.
"""
