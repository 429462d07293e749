-- Why people did something, in their words. The ledger holds their digests only, so that they can be erased.

CREATE TABLE words (
    reference TEXT PRIMARY KEY,
    use_case TEXT NOT NULL,
    salt BLOB NOT NULL,
    text TEXT NOT NULL
) WITHOUT ROWID;
