"""The stream worker: takes the event stream through the steps into the stores.

main          the process
batch_runner  reads, retries, halves and acknowledges batches
steps         the one list of steps, in the order in which they run

The steps that need the notifications domain live here, one file each (`make_claims`, `load_claims`,
`store_cursors`); all others are in `subgraphs/analytics/pipeline/`.
"""
