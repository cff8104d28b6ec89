"""The events of a site, newest first: source events and notification events, merged.

Owns no table: it reads the ledger's `events` and `notification_events`. Pages are found by keyset.
Both tables are read backwards along their primary keys from the position where the previous page
ended, so the hundredth page costs as much as the first.

    query      which events are requested, and the checks of its arguments
    cursor     a position in the list, and its cursor
    statement  the SQL
    service    the pages

Loaders and types of analytics may enter, and exports for the checks of event types.
"""
