-- History by resource, and history that only grows.

ALTER TABLE events ADD COLUMN resource TEXT; -- that of its data

UPDATE events SET resource = json_extract(CAST(data AS TEXT), '$.resource')
WHERE type LIKE 'lock.%' AND json_valid(CAST(data AS TEXT));

CREATE INDEX events_by_resource ON events (seq >> 15, resource) WHERE resource IS NOT NULL; -- in shelves, too

-- Nobody changes what happened. Only what is older than the mark that pruning has set may go.
CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events
BEGIN
  SELECT RAISE(ABORT, 'history is append-only');
END;

CREATE TRIGGER events_stay BEFORE DELETE ON events
WHEN OLD.at >= coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'pruned_before'), OLD.at)
BEGIN
  SELECT RAISE(ABORT, 'history is append-only');
END;
