"""The ground all domains stand on: it imports no domain, no worker and nothing of the router.

A domain takes from here its settings, its database sessions, the viewer who is asking, the event
envelope and the streams. What two domains must agree on without importing each other lives here.
"""
