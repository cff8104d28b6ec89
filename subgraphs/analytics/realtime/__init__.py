"""Live analytics in Redis: counters, visitors on a site, recent activity.

counters       a copy of the ledger's counters
live_visitors  how many visitors are on a site now
activity       what happens at a site, as messages for dashboards

All of it can be rebuilt from the ledger. The stream worker writes, resolvers read.
"""
