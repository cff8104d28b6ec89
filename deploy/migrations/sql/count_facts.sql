-- The stream worker counts orders and page views as it writes them, like notification events. This
-- counts those that were written before.
INSERT INTO counters (site_id, account_id, metric, value)
SELECT site_id, account_id,
       CASE event_type WHEN 'order.created' THEN 'orders' ELSE 'page_views' END,
       count(*)
FROM events
WHERE event_type IN ('order.created', 'page.viewed')
GROUP BY site_id, account_id, event_type;
