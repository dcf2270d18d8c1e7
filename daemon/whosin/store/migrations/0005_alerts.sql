-- Alerts to people, and their outbox: one row for each message to each channel.

CREATE TABLE alerts (
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  kind TEXT NOT NULL,
  site TEXT,
  company TEXT,
  severity TEXT NOT NULL,
  raised INTEGER NOT NULL,
  told INTEGER NOT NULL,
  cleared INTEGER NOT NULL,
  reminders INTEGER NOT NULL,
  total INTEGER NOT NULL,
  body BLOB NOT NULL
);

CREATE INDEX alerts_open ON alerts (number) WHERE cleared = 0;

CREATE TABLE deliveries (
  alert INTEGER NOT NULL,
  channel TEXT NOT NULL,
  phase TEXT NOT NULL,
  id TEXT NOT NULL,
  state TEXT NOT NULL,
  tries INTEGER NOT NULL,
  since INTEGER NOT NULL,
  at INTEGER NOT NULL,
  due INTEGER NOT NULL,
  error TEXT,
  PRIMARY KEY (alert, channel, phase)
) WITHOUT ROWID;

CREATE INDEX deliveries_pending ON deliveries (alert) WHERE state = 'pending';
