-- What a durable observer has left, instead of a moment: the wall clock may be set between storing its row and
-- storing the clock that such a moment would be read by.

ALTER TABLE observers RENAME COLUMN expires TO left_ms;

UPDATE observers SET left_ms =
  max(1, left_ms - coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'clock'), 0));
