-- A page of a site's source events, newest first. The view `source_events` is a security barrier, and
-- PostgreSQL does not use an index order through one: each page would sort all rows of the site.
-- This function checks access as the view does.

CREATE FUNCTION source_events_before(
    site uuid, most integer, before_time timestamptz, before_id uuid, before_type text,
    since timestamptz, until timestamptz, types text[], visitor text)
RETURNS SETOF events
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 20
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan SET enable_sort = off AS $$
BEGIN
    -- A custom plan drops the conditions on null parameters. Sorting is off because the planner would
    -- choose it for a month without statistics, where it underestimates every site's rows.
    RETURN QUERY
        SELECT e.* FROM events e
        WHERE e.site_id = site
            AND e.account_id = ANY ((SELECT current_accounts())::uuid[])
            AND (before_time IS NULL OR e.time <= before_time)
            AND (before_time IS NULL
                 OR (e.time, e.id, e.event_type) < (before_time, before_id, before_type))
            AND (since IS NULL OR e.time >= since)
            AND (until IS NULL OR e.time < until)
            AND (types IS NULL OR e.event_type = ANY (types))
            AND (visitor IS NULL OR e.visitor_id = visitor)
        ORDER BY e.time DESC, e.id DESC, e.event_type DESC
        LIMIT most;
END $$;

REVOKE EXECUTE ON FUNCTION source_events_before FROM PUBLIC;
GRANT EXECUTE ON FUNCTION source_events_before TO proofgraph_app;
