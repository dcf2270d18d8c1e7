-- The first schema. One table for the living, one for the ended: the living are few, loaded at every start
-- and written all the time; the ended are many, written once and searched by people.
-- Every integer that tells a moment is wall-clock epoch milliseconds.

PRAGMA application_id = 1464356691; -- "WHOS": a file without it belongs to another program

CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

INSERT INTO meta VALUES ('store_id', lower(hex(randomblob(16))));

CREATE TABLE sessions (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  site TEXT NOT NULL,
  company TEXT NOT NULL,
  user TEXT NOT NULL,
  client TEXT NOT NULL,
  machine TEXT,
  address TEXT,
  app TEXT,
  os_session TEXT,
  conn INTEGER,
  at TEXT,
  status TEXT NOT NULL,
  since INTEGER NOT NULL,
  seen INTEGER NOT NULL,
  lost INTEGER NOT NULL,
  disconnected INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  ended_by TEXT,
  reason TEXT,
  replaced_by TEXT,
  idle_s INTEGER,
  idle INTEGER NOT NULL,
  activity TEXT,
  source TEXT NOT NULL
);

-- What a heartbeat changes of a living session, apart from it: such a row is a quarter as long, and a flush
-- rewrites whole pages. A row here is newer than the session's; writing the session removes it.
CREATE TABLE beats (
  seen INTEGER NOT NULL,
  conn INTEGER,
  at TEXT,
  idle_s INTEGER,
  activity TEXT,
  source TEXT NOT NULL,
  key INTEGER PRIMARY KEY
);

CREATE TABLE ended_sessions (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL,
  site TEXT NOT NULL,
  company TEXT NOT NULL,
  user TEXT NOT NULL,
  client TEXT NOT NULL,
  machine TEXT,
  address TEXT,
  app TEXT,
  os_session TEXT,
  conn INTEGER,
  at TEXT,
  status TEXT NOT NULL,
  since INTEGER NOT NULL,
  seen INTEGER NOT NULL,
  lost INTEGER NOT NULL,
  disconnected INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  ended_by TEXT,
  reason TEXT,
  replaced_by TEXT,
  idle_s INTEGER,
  idle INTEGER NOT NULL,
  activity TEXT,
  source TEXT NOT NULL
);

CREATE INDEX ended_sessions_by_time ON ended_sessions (ended); -- what to prune
-- By id, shelf by shelf: ids are random, so in one index over all of them each new one would touch a page of
-- its own, and the page would have to be read first. Only the newest shelf is written; a search asks each.
CREATE INDEX ended_sessions_by_id ON ended_sessions (key >> 16, id);

CREATE TABLE companies (
  site TEXT NOT NULL,
  company TEXT NOT NULL,
  token INTEGER NOT NULL, -- the last fencing token that was given
  PRIMARY KEY (site, company)
) WITHOUT ROWID;

CREATE TABLE locks (
  site TEXT NOT NULL,
  company TEXT NOT NULL,
  token INTEGER NOT NULL,
  resource TEXT NOT NULL,
  session INTEGER NOT NULL,
  shared INTEGER NOT NULL,
  sticky INTEGER NOT NULL,
  since INTEGER NOT NULL,
  activity TEXT,
  guidance TEXT,
  release_at INTEGER NOT NULL,
  PRIMARY KEY (site, company, token)
) WITHOUT ROWID;

CREATE TABLE wants (
  site TEXT NOT NULL,
  company TEXT NOT NULL,
  "order" INTEGER NOT NULL,
  session INTEGER NOT NULL,
  resource TEXT NOT NULL,
  shared INTEGER NOT NULL,
  sticky INTEGER NOT NULL,
  activity TEXT,
  guidance TEXT,
  asked INTEGER NOT NULL,
  until INTEGER NOT NULL,
  refused_by TEXT NOT NULL,
  PRIMARY KEY (site, company, "order")
) WITHOUT ROWID;

CREATE TABLE events (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  type TEXT NOT NULL,
  site TEXT,
  company TEXT,
  session TEXT,
  user TEXT,
  actor TEXT,
  reason TEXT,
  data BLOB NOT NULL
);

CREATE INDEX events_by_time ON events (at); -- what to prune, and the history of the last hours
CREATE INDEX events_by_session ON events (seq >> 15, session) WHERE session IS NOT NULL; -- in shelves, too

CREATE TABLE passes (
  id INTEGER PRIMARY KEY,
  started INTEGER NOT NULL,
  finished INTEGER NOT NULL,
  actor TEXT NOT NULL,
  report BLOB NOT NULL
);

CREATE TABLE holds (
  site TEXT NOT NULL,
  company TEXT NOT NULL,
  client TEXT NOT NULL,
  opened INTEGER NOT NULL,
  alerted INTEGER NOT NULL,
  until INTEGER NOT NULL,
  confirmed TEXT NOT NULL,
  PRIMARY KEY (site, company, client)
) WITHOUT ROWID;

CREATE TABLE accounts (
  name TEXT NOT NULL PRIMARY KEY,
  role TEXT NOT NULL,
  site TEXT NOT NULL,
  user TEXT,
  secret_hash BLOB NOT NULL,
  created INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE tokens (
  name TEXT NOT NULL PRIMARY KEY,
  role TEXT NOT NULL,
  site TEXT,
  secret_hash BLOB NOT NULL,
  created INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE observers (
  client_id TEXT NOT NULL PRIMARY KEY,
  account TEXT,
  filters TEXT NOT NULL,
  acked INTEGER NOT NULL,
  expires INTEGER NOT NULL
) WITHOUT ROWID;
