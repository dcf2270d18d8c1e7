-- People who sign in to the page, and the browsers they are signed in with. Both outlive a restart.
-- Of a session's id and of a link's code only the hash is kept.

CREATE TABLE operators (
  name TEXT NOT NULL PRIMARY KEY,
  role TEXT NOT NULL,
  site TEXT,
  password_hash TEXT,
  disabled INTEGER NOT NULL,
  created INTEGER NOT NULL,
  password_set INTEGER NOT NULL,
  signed_in INTEGER NOT NULL,
  link_hash BLOB,
  link_until INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE web_sessions (
  id_hash BLOB NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  created INTEGER NOT NULL,
  seen INTEGER NOT NULL,
  address TEXT
) WITHOUT ROWID;
