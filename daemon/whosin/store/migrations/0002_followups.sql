-- What is left to do after a session was removed. The text is a copy: rules change, the duty does not.

CREATE TABLE followups (
  id INTEGER PRIMARY KEY,
  opened INTEGER NOT NULL,
  site TEXT NOT NULL,
  company TEXT NOT NULL,
  session TEXT NOT NULL,
  user TEXT NOT NULL,
  client TEXT NOT NULL,
  machine TEXT,
  resource TEXT,
  rule TEXT NOT NULL,
  severity TEXT NOT NULL,
  text TEXT NOT NULL,
  done INTEGER NOT NULL, -- 0 while it is open
  done_by TEXT,
  note TEXT
);

CREATE INDEX followups_open ON followups (id) WHERE done = 0;
CREATE INDEX followups_done ON followups (done) WHERE done > 0; -- what to prune
