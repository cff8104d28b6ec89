-- The visitor journal under its new name. Grants, row security and the identity column stay with the
-- table. Stop the stream workers first: a running one writes to the old name.
ALTER TABLE visitor_deeds RENAME TO visitor_event_journal;
ALTER TABLE visitor_event_journal RENAME COLUMN deeds TO events;
ALTER INDEX visitor_deeds_pkey RENAME TO visitor_event_journal_pkey;
ALTER SEQUENCE visitor_deeds_id_seq RENAME TO visitor_event_journal_id_seq;
