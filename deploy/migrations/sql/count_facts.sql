-- Orders and page views are counted as they are written, as claims' events are. What was written
-- before is counted here.
INSERT INTO counters (site_id, account_id, metric, value)
SELECT site_id, account_id,
       CASE event_type WHEN 'order.created' THEN 'orders' ELSE 'page_views' END,
       count(*)
FROM events
WHERE event_type IN ('order.created', 'page.viewed')
GROUP BY site_id, account_id, event_type;
