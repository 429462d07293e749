-- What has gone wrong in production, and what is still to be said of it to whom.

CREATE TABLE alarm (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    use_case TEXT NOT NULL,
    open INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX alarm_of ON alarm (use_case, open, number);

CREATE TABLE notice (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    use_case TEXT NOT NULL,
    state TEXT NOT NULL,
    due INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE INDEX notice_due ON notice (state, due);
